"""A process ends only where waiting cannot help; every other refusal is an outage that is waited for."""

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError
from cassandra.cluster import NoHostAvailable
from cassandra.connection import ConnectionException
from pydantic import ValidationError
from redis.exceptions import AuthenticationError
from redis.exceptions import ConnectionError as Disconnected

from infra.local.secured.certificates import Authority
from streams.errors import StoreMisconfigured, StoreUnavailable
from streams.settings import CassandraSettings, RedisSettings, S3Settings
from streams.stores import tls
from streams.stores.cassandra.session import refuse_settings
from streams.stores.redis import access as redis_access
from streams.stores.s3.access import require_access as require_s3
from streams.stores.s3.bucket import S3Bucket
from streams.stores.tls import require_certificate, tls_context

WRONG = ConnectionException(
    'code=0100 [Bad credentials] message="Provided username a and/or password are incorrect"'
)
NO_USER = ConnectionException("Remote end requires authentication")
# What a node says that cannot read the roles, and one whose operator has locked the role.
CANNOT_READ = ConnectionException(
    'code=0100 [Bad credentials] message="Unable to perform authentication: timed out"'
)
LOCKED = ConnectionException('code=0100 [Bad credentials] message="a is not permitted to log in"')
AWAY = OSError("connection refused")
EXPIRED = "127.0.0.1:1 has a certificate that is not accepted: certificate has expired"


def cluster(*datacenters: str) -> Any:
    hosts = [SimpleNamespace(datacenter=name) for name in datacenters]
    return SimpleNamespace(metadata=SimpleNamespace(all_hosts=lambda: hosts))


def unavailable(*errors: Exception) -> StoreUnavailable:
    error = StoreUnavailable("cassandra", "connect", "NoHostAvailable")
    error.__cause__ = NoHostAvailable("no host", {str(number): one for number, one in enumerate(errors)})
    return error


@pytest.mark.parametrize("errors", [(WRONG,), (WRONG, WRONG), (NO_USER,)])
def test_a_login_that_every_node_refuses_is_wrong(errors: tuple[Exception, ...]) -> None:
    with pytest.raises(StoreMisconfigured, match="SHUTTERLINE_CASSANDRA_PASSWORD"):
        refuse_settings(cluster(), CassandraSettings(), unavailable(*errors))


@pytest.mark.parametrize("errors", [(AWAY,), (WRONG, AWAY), (CANNOT_READ,), (LOCKED,), ()])
def test_nodes_that_may_let_us_in_later_are_waited_for(errors: tuple[Exception, ...]) -> None:
    refuse_settings(cluster("datacenter1"), CassandraSettings(), unavailable(*errors))


def test_an_unknown_data_centre_is_told_with_those_that_exist() -> None:
    settings = CassandraSettings(cassandra_datacenter="south")

    with pytest.raises(StoreMisconfigured, match="no data centre 'south', only east, west"):
        refuse_settings(cluster("west", "east", "west"), settings, unavailable(AWAY))
    refuse_settings(cluster(), settings, unavailable(AWAY))  # Before a node answers, none is known.


async def refused_by(monkeypatch: pytest.MonkeyPatch, settings: RedisSettings, *errors: Exception) -> None:
    left = iter(errors)

    async def refusal(_: str) -> Exception:
        return next(left)

    monkeypatch.setattr(redis_access, "_refusal", refusal)
    await redis_access.require_access(settings)


async def test_redis_is_waited_for_while_one_address_may_let_us_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server of a cluster may be away; the others all refuse what it would refuse, too, or not."""
    settings = RedisSettings(redis="redis://someone:secret@one:1,two:2/0", redis_cluster=True)

    await refused_by(monkeypatch, settings, AuthenticationError("WRONGPASS"), Disconnected("away"))
    with pytest.raises(StoreMisconfigured, match="one:1,two:2 refuses the user 'someone'") as refused:
        await refused_by(monkeypatch, settings, AuthenticationError("no"), AuthenticationError("no"))
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    ("url", "user"),
    [
        ("redis://one:1/0", "clients without a user"),
        ("redis://:secret@one:1/0", "the user 'default'"),
        ("redis://a%40b:secret@one:1/0", "the user 'a@b'"),
    ],
)
async def test_the_user_of_redis_is_named(monkeypatch: pytest.MonkeyPatch, url: str, user: str) -> None:
    with pytest.raises(StoreMisconfigured, match=user):
        await refused_by(monkeypatch, RedisSettings(redis=url), AuthenticationError("no"))


def bucket(code: str) -> S3Bucket:
    async def refuse(**_: object) -> None:
        raise ClientError({"Error": {"Code": code}}, "ListObjectsV2")

    client: Any = SimpleNamespace(list_objects_v2=refuse)
    return S3Bucket(client, "bucket", breaker=None, look_timeout_s=1, transfer_timeout_s=1)  # type: ignore[arg-type]  # Nothing is asked through it.


@pytest.mark.parametrize("code", ["InvalidAccessKeyId", "SignatureDoesNotMatch"])
async def test_a_key_that_s3_does_not_know_is_wrong(code: str) -> None:
    with pytest.raises(StoreMisconfigured, match="refuses the key 'mine'"):
        await require_s3(bucket(code), S3Settings(s3_access_key="mine"))


@pytest.mark.parametrize("code", ["AccessDenied", "SlowDown", "RequestTimeTooSkewed", "NoSuchBucket"])
async def test_what_an_operator_of_s3_may_correct_is_waited_for(code: str) -> None:
    await require_s3(bucket(code), S3Settings())


def shake_hands(monkeypatch: pytest.MonkeyPatch, *rejections: str | None) -> None:
    left = iter(rejections)
    monkeypatch.setattr(tls, "_rejection", lambda _address, _context: next(left))
    addresses = [f"127.0.0.1:{number}" for number in range(1, len(rejections) + 1)]
    require_certificate("redis", addresses, tls_context(None), "SHUTTERLINE_REDIS_TLS_CA")


@pytest.mark.parametrize("rejections", [[EXPIRED], [EXPIRED, EXPIRED]])
def test_certificates_of_which_none_is_accepted_are_final(
    monkeypatch: pytest.MonkeyPatch, rejections: list[str]
) -> None:
    sentence = f"redis at {EXPIRED}. Replace its certificate, or correct SHUTTERLINE_REDIS_TLS_CA"

    with pytest.raises(StoreMisconfigured, match=re.escape(sentence)):
        shake_hands(monkeypatch, *rejections)


@pytest.mark.parametrize("rejections", [[EXPIRED, None], [None], []])
def test_a_server_that_is_away_may_come_back_with_another_certificate(
    monkeypatch: pytest.MonkeyPatch, rejections: list[str | None]
) -> None:
    shake_hands(monkeypatch, *rejections)


@pytest.mark.parametrize(
    ("settings", "values", "rule"),
    [
        (RedisSettings, {"redis": "redis://one:1/0"}, "redis must begin with rediss://"),
        (S3Settings, {"s3": "http://one:1"}, "s3 must begin with https://"),
    ],
)
def test_an_authority_without_tls_is_refused(
    settings: Any, values: dict[str, object], rule: str, tmp_path: Path
) -> None:
    """Otherwise a password would go over the network as it is, although its owner asked for TLS."""
    name = f"{next(iter(values))}_tls_ca"

    with pytest.raises(ValidationError, match=rule):
        settings(**values, **{name: Authority(tmp_path).file})


@pytest.mark.parametrize("name", ["cassandra_tls_ca", "redis_tls_ca", "s3_tls_ca"])
def test_a_file_without_certificates_is_refused(name: str, tmp_path: Path) -> None:
    part = {"cassandra": CassandraSettings, "redis": RedisSettings, "s3": S3Settings}[name.partition("_")[0]]
    empty = tmp_path / "empty.pem"
    empty.touch()

    with pytest.raises(ValidationError, match="has no certificates in PEM"):
        part(**{name: empty})
    with pytest.raises(ValidationError, match="does not point to a file"):
        part(**{name: tmp_path / "missing.pem"})
