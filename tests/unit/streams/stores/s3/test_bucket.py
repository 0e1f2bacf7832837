"""What S3's error codes mean."""

from typing import Any

import pytest
from botocore.exceptions import ClientError

from streams.core.breaker import Breaker
from streams.errors import StoreUnavailable
from streams.stores.s3.bucket import S3Bucket, S3Refused


class Client:
    """A client whose every operation fails with this status and code."""

    def __init__(self, status: int, code: str) -> None:
        self._response: Any = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
        self.calls = 0

    async def head_object(self, **_: object) -> None:
        self.calls += 1
        raise ClientError(self._response, "HeadObject")


def bucket(client: Client) -> S3Bucket:
    breaker = Breaker(failures_max=2, open_s=60.0)
    return S3Bucket(client, "photos", breaker, look_timeout_s=5, transfer_timeout_s=5)


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, "RequestTimeout"),
        (409, "OperationAborted"),
        (409, "ConditionalRequestConflict"),
        (429, "TooManyRequests"),
        (500, "InternalError"),
        (503, "SlowDown"),
    ],
)
async def test_an_error_that_passes_is_an_outage(status: int, code: str) -> None:
    """The caller waits; after enough of them the breaker opens."""
    client = Client(status, code)
    photos = bucket(client)

    for _ in range(4):
        with pytest.raises(StoreUnavailable):
            await photos.call("head_object", Key="a")
    assert client.calls == 2


@pytest.mark.parametrize(
    ("status", "code"), [(403, "AccessDenied"), (400, "InvalidArgument"), (501, "NotImplemented")]
)
async def test_another_error_is_a_refusal(status: int, code: str) -> None:
    """Waiting would not help, and the breaker stays closed."""
    client = Client(status, code)
    photos = bucket(client)

    for _ in range(4):
        with pytest.raises(S3Refused, match=code) as raised:
            await photos.call("head_object", Key="a")
        assert raised.value.code == code
    assert client.calls == 4


@pytest.mark.parametrize("code", ["404", "NoSuchKey", "NotFound", "NoSuchUpload"])
async def test_what_does_not_exist_is_none(code: str) -> None:
    """It is a normal result."""
    assert await bucket(Client(404, code)).call("head_object", Key="a") is None
