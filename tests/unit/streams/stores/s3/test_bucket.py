"""What S3's error codes mean."""

from typing import Any

import aiohttp
import pytest
from botocore.exceptions import (
    ClientError,
    IncompleteReadError,
    NoCredentialsError,
    ParamValidationError,
)
from botocore.parsers import ResponseParserError

from streams.core.limits.breaker import Breaker
from streams.errors import StoreUnavailable
from streams.stores.s3.bucket import S3Bucket, S3Refused
from streams.stores.s3.objects import S3MediaObjects


class Client:
    """A client whose every operation raises this error."""

    def __init__(self, error: Exception) -> None:
        self._error = error
        self.calls = 0

    async def head_object(self, **_: object) -> None:
        self.calls += 1
        raise self._error

    put_object = list_objects_v2 = get_bucket_lifecycle_configuration = head_object


def response(status: int, code: str, operation: str = "HeadObject") -> ClientError:
    body: Any = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(body, operation)


def bucket(client: Any) -> S3Bucket:
    breaker = Breaker(failures_max=2, open_s=60.0)
    return S3Bucket(client, "photos", breaker, look_timeout_s=5, transfer_timeout_s=5)


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (301, "PermanentRedirect"),
        (400, "RequestTimeout"),
        (400, "ExpiredToken"),
        (400, "InvalidArgument"),
        (401, "401"),
        (403, "403"),
        (403, "AccessDenied"),
        (403, "InvalidAccessKeyId"),
        (403, "RequestTimeTooSkewed"),
        (403, "SignatureDoesNotMatch"),
        (404, "NoSuchBucket"),
        (405, "MethodNotAllowed"),
        (409, "OperationAborted"),
        (409, "ConditionalRequestConflict"),
        (429, "TooManyRequests"),
        (500, "InternalError"),
        (503, "SlowDown"),
        (507, "507"),
    ],
)
async def test_what_a_running_server_refuses_is_an_outage(status: int, code: str) -> None:
    """The caller retries later; after enough refusals in a row the breaker opens."""
    client = Client(response(status, code))
    photos = bucket(client)

    for _ in range(4):
        with pytest.raises(StoreUnavailable):
            await photos.call("head_object", Key="a")
    assert client.calls == 2


@pytest.mark.parametrize(
    "error",
    [
        IncompleteReadError(actual_bytes=1, expected_bytes=2),
        ResponseParserError("no XML"),
        NoCredentialsError(),
        aiohttp.ClientPayloadError("truncated"),
    ],
)
async def test_a_truncated_response_is_an_outage(error: Exception) -> None:
    """Missing credentials are an outage, too."""
    with pytest.raises(StoreUnavailable):
        await bucket(Client(error)).call("head_object", Key="a")


@pytest.mark.parametrize(
    ("status", "code"), [(412, "PreconditionFailed"), (416, "InvalidRange"), (501, "NotImplemented")]
)
async def test_a_result_that_the_caller_expects_is_a_refusal(status: int, code: str) -> None:
    """Waiting would not help, and the breaker stays closed."""
    client = Client(response(status, code))
    photos = bucket(client)

    for _ in range(4):
        with pytest.raises(S3Refused, match=code) as raised:
            await photos.call("head_object", Key="a")
        assert raised.value.code == code
    assert client.calls == 4


@pytest.mark.parametrize(
    ("status", "code"),
    [(404, "NoSuchLifecycleConfiguration"), (403, "AccessDenied"), (501, "NotImplemented")],
)
async def test_a_bucket_without_rules_is_a_refusal(status: int, code: str) -> None:
    """Rules are optional, so a policy that denies them is no outage."""
    photos = bucket(Client(response(status, code, "GetBucketLifecycleConfiguration")))

    with pytest.raises(S3Refused, match=code):
        await photos.call("get_bucket_lifecycle_configuration")


async def test_a_request_that_the_client_rejects_is_our_bug() -> None:
    """The request was never sent, so a retry cannot help."""
    with pytest.raises(ParamValidationError):
        await bucket(Client(ParamValidationError(report="Key"))).call("head_object", Key=1)


@pytest.mark.parametrize("code", ["404", "NoSuchKey", "NotFound", "NoSuchUpload"])
async def test_what_does_not_exist_is_none(code: str) -> None:
    """A missing object or multipart upload is a normal result, not an error."""
    assert await bucket(Client(response(404, code))).call("head_object", Key="a") is None


async def test_a_missing_bucket_is_an_outage() -> None:
    """A listing or a write needs no existing object, so a 404 can only mean the bucket."""
    with pytest.raises(StoreUnavailable):
        await bucket(Client(response(404, "404", "ListObjectsV2"))).call("list_objects_v2")
    with pytest.raises(StoreUnavailable):
        await bucket(Client(response(404, "404", "PutObject"))).call("put_object", Key="a")


async def test_an_object_that_is_not_deleted_is_an_outage() -> None:
    """S3 responds 200 to the call and names the keys that it did not delete."""

    class Denying:
        async def delete_objects(self, **_: object) -> dict[str, object]:
            return {"Errors": [{"Key": "a", "Code": "AccessDenied"}]}

    with pytest.raises(StoreUnavailable, match="AccessDenied a"):
        await S3MediaObjects(bucket(Denying())).delete(["a"])
