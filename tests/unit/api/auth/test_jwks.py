"""A key set that is fetched again and again: rotation, outages, slow and malformed sources."""

import asyncio
import json
import logging

import pytest

from api.auth.jwks import FETCH_PAUSE_S, WAITING_MAX, JwksKeys, keys_from
from api.auth.keys import SecretKeys
from streams.errors import StoreUnavailable
from streams.settings import Settings
from tests.worlds.api import SECRET
from tests.worlds.tokens import EC_KEY, ED_KEY, RSA_KEY, KeySetSource, jwk, jwks, key_set


async def kids(keys: JwksKeys, *names: str) -> list[str]:
    """Return those of the names that are keys."""
    return [name for name in names if await keys.keys_for(name, "RS256")]


async def test_an_unknown_kid_fetches_the_set_at_most_every_10_s() -> None:
    """Key rotation works at once, and a client cannot make the process fetch the set with every token."""
    now_s = 1_000.0
    source = KeySetSource(jwk(RSA_KEY, "old"))
    keys = jwks(source, clock_s=lambda: now_s)
    assert await kids(keys, "old") == ["old"]
    source.document = key_set(jwk(RSA_KEY, "new"))

    assert await kids(keys, *["new"] * 100) == []
    assert source.fetches == 1
    now_s += FETCH_PAUSE_S
    assert await kids(keys, "new", "old") == ["new"]


async def test_a_removed_key_is_rejected_after_the_next_refresh() -> None:
    """The task refreshes, whether or not somebody asks for an unknown key."""
    source = KeySetSource(jwk(RSA_KEY, "leaked"))
    keys = jwks(source)
    await keys.refresh()
    source.document = key_set(jwk(RSA_KEY, "safe"))

    await keys.refresh()

    assert await kids(keys, "leaked", "safe") == ["safe"]


async def test_the_task_fetches_at_intervals() -> None:
    """A failed fetch does not end it."""
    fetched, documents = asyncio.Event(), iter([None, key_set(jwk(RSA_KEY, "a")), None, b"?"])

    async def fetch() -> bytes:
        document = next(documents, b"")
        if document == b"":
            fetched.set()
            await asyncio.Event().wait()
        if document is None:
            raise OSError("unavailable")
        return document

    keys = JwksKeys(fetch, refresh_s=0, fetch_s_max=60, stale_s_max=3_600)
    task = asyncio.create_task(keys.run())
    async with asyncio.timeout(10):
        await fetched.wait()

    assert await kids(keys, "a") == ["a"]
    task.cancel()


@pytest.mark.parametrize(
    "document",
    [None, b"", key_set(), key_set(jwk(RSA_KEY, "a", use="enc")), key_set({"kty": "EC", "crv": []})],
    ids=["unavailable", "empty", "no keys", "no usable key", "malformed key"],
)
async def test_a_good_set_stays_in_use_for_an_hour(document: bytes | None) -> None:
    """Until the source has a usable key again. After an hour the tokens may be revoked: 503."""
    now_s = 1_000.0
    source = KeySetSource(jwk(RSA_KEY, "known"))
    keys = jwks(source, clock_s=lambda: now_s)
    await keys.refresh()
    source.document = document

    now_s += 3_600
    await keys.refresh()
    assert await kids(keys, "known") == ["known"]
    await keys.check()
    now_s += 1
    with pytest.raises(StoreUnavailable):
        await keys.keys_for("known", "RS256")
    with pytest.raises(StoreUnavailable):
        await keys.check()
    source.document = key_set(jwk(RSA_KEY, "new"))
    await keys.refresh()
    assert await kids(keys, "known", "new") == ["new"]


async def test_without_any_set_tokens_may_be_valid() -> None:
    """The caller should try again, not log in again."""
    source = KeySetSource()
    source.document = None

    with pytest.raises(StoreUnavailable):
        await jwks(source).keys_for("a", "RS256")


class Hanging:
    """A source that responds only after the first set, which is there at once."""

    def __init__(self) -> None:
        self.hangs = False
        self.fetches = 0

    async def __call__(self) -> bytes:
        self.fetches += 1
        if self.hangs:
            await asyncio.Event().wait()
        return key_set(jwk(RSA_KEY, "known"))


async def test_a_source_that_hangs_delays_nobody_whose_key_is_known() -> None:
    """Requests for unknown keys wait for a bounded time, only some of them, and share one fetch."""
    now_s = 1_000.0
    source = Hanging()
    keys = jwks(source, clock_s=lambda: now_s, fetch_s_max=0.05)
    await keys.refresh()
    source.hangs = True
    now_s += FETCH_PAUSE_S
    unknown = [asyncio.create_task(keys.keys_for("unknown", "RS256")) for _ in range(3 * WAITING_MAX)]
    await asyncio.sleep(0)
    waiting = sum(not task.done() for task in unknown)

    assert await kids(keys, "known") == ["known"]
    assert waiting == WAITING_MAX
    assert [[]] * len(unknown) == await asyncio.gather(*unknown)
    assert source.fetches == 2


async def test_a_fetch_ends_at_its_deadline() -> None:
    """Also if the source sends a byte now and then; the next fetch can begin."""
    source = Hanging()
    source.hangs = True
    keys = jwks(source, fetch_s_max=0.01)
    async with asyncio.timeout(5):
        await keys.refresh()
        source.hangs = False
        await keys.refresh()

    assert await kids(keys, "known") == ["known"]


async def test_an_unusable_key_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    """A set that stays as it is says nothing new at its next fetch."""
    caplog.set_level(logging.WARNING)
    source = KeySetSource(jwk(RSA_KEY, "for encryption", use="enc"), jwk(EC_KEY, "good"))
    keys = jwks(source)
    for _ in range(3):
        await keys.refresh()
    source.document = key_set(jwk(ED_KEY, "other", use="enc"), *json.loads(source.document or b"")["keys"])
    await keys.refresh()

    named = [record.getMessage() for record in caplog.records if "is not used" in record.getMessage()]
    assert [1, 1] == [sum(kid in line for line in named) for kid in ("for encryption", "other")]
    assert len(named) == 2


def test_a_short_or_missing_secret_is_rejected() -> None:
    """HS256 needs at least 32 bytes. A key set makes the secret unnecessary."""
    for secret in ("", "x" * 31):
        with pytest.raises(ValueError, match="at least 32"):
            keys_from(Settings(jwt_secret=secret))

    assert isinstance(keys_from(Settings(jwt_secret="x" * 32)), SecretKeys)
    with_set = Settings(jwt_secret=SECRET, jwks="keys.json", jwt_audience="feed")
    assert isinstance(keys_from(with_set), JwksKeys)


def test_a_key_set_needs_an_audience() -> None:
    """Otherwise a token that the issuer made for another service would be accepted here."""
    with pytest.raises(ValueError, match="SHUTTERLINE_JWT_AUDIENCE"):
        keys_from(Settings(jwks="https://issuer.example/keys"))
