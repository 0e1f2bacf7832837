"""One bucket of S3 for asyncio: a deadline, a breaker, and the meaning of S3's error codes."""

from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Any

import aiohttp
from aiobotocore.config import AioConfig
from aiobotocore.session import get_session
from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError
from botocore.parsers import ResponseParserError

from streams.core.limits.breaker import Breaker
from streams.settings import S3Settings
from streams.stores.guard import StoreGuard

STORE = "s3"
# ResponseParserError means that a body is truncated or is not XML. It is not a BotoCoreError.
ERRORS = (ClientError, BotoCoreError, ResponseParserError, aiohttp.ClientError, OSError)
_NOT_THERE = frozenset({"404", "NoSuchKey", "NotFound", "NoSuchUpload"})
# The operations whose object or upload may not exist. For every other operation, a 404 means that
# the bucket does not exist.
_MAY_BE_MISSING = frozenset(
    {
        *("HeadObject", "GetObject"),
        *("UploadPart", "ListParts", "CompleteMultipartUpload", "AbortMultipartUpload"),
    }
)
# Lifecycle rules are optional: some servers do not support them, and our policy may not allow us to
# set them. So a refusal of these operations is an expected result.
_OPTIONAL = frozenset({"GetBucketLifecycleConfiguration", "PutBucketLifecycleConfiguration"})
# Statuses that a caller expects as results. 501 means that this server does not support the
# operation.
_EXPECTED_STATUSES = frozenset(
    {
        HTTPStatus.NOT_MODIFIED,
        HTTPStatus.PRECONDITION_FAILED,
        HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE,
        HTTPStatus.NOT_IMPLEMENTED,
    }
)
# Operations with the longer timeout, because their time grows with their bytes. Some servers copy
# the parts when they finish a multipart upload.
_TRANSFERS = frozenset(
    {
        *("get_object", "put_object", "upload_part", "complete_multipart_upload"),
        # Their time grows with the number of keys, up to 1,000.
        *("list_objects_v2", "list_multipart_uploads", "delete_objects"),
    }
)
_CONNECTIONS_MAX = 64


class S3Refused(Exception):
    """S3 refused an operation for a reason that the caller expects. `code` is S3's code."""

    def __init__(self, operation: str, code: str, message: str) -> None:
        super().__init__(f"{operation}: {code} {message}")
        self.code = code


class S3Bucket:
    """Calls on one bucket; `client` is an aiobotocore client."""

    def __init__(
        self, client: Any, name: str, breaker: Breaker, *, look_timeout_s: float, transfer_timeout_s: float
    ) -> None:
        self.client = client
        self.name = name
        self._guard = StoreGuard(
            STORE,
            breaker,
            timeout_s=look_timeout_s,
            errors=ERRORS,
            is_final=_is_final,
            kind_of=_kind_of,
        )
        self._transfer_timeout_s = transfer_timeout_s

    async def call(self, operation: str, **arguments: object) -> Any:
        """Return the result of one operation; None if its object or upload does not exist.

        Raises:
            StoreUnavailable: S3 did not respond in time, failed, or refused a correct request.
            S3Refused: A condition or a range did not hold, or the server does not support the
                operation or lifecycle rules.
        """
        timeout_s = self._transfer_timeout_s if operation in _TRANSFERS else None
        try:
            return await self._guard.run(
                operation, self._request, getattr(self.client, operation), arguments, timeout_s=timeout_s
            )
        except ClientError as error:
            if _is_missing(error):
                return None
            raise S3Refused(operation, _code(error), str(error)) from error

    async def _request(self, method: Callable[..., Awaitable[Any]], arguments: Mapping[str, object]) -> Any:
        result = await method(Bucket=self.name, **arguments)
        body = result.get("Body")
        if body is not None:
            async with body as stream:
                result["Body"] = await stream.read()
        return result


def _is_final(error: Exception) -> bool:
    if not isinstance(error, ClientError):
        return isinstance(error, ParamValidationError)  # Our own code built the request wrongly.
    status = _status(error)
    if _is_missing(error) or status in _EXPECTED_STATUSES:
        return True
    return error.operation_name in _OPTIONAL and status < HTTPStatus.INTERNAL_SERVER_ERROR


def _is_missing(error: ClientError) -> bool:
    return _code(error) in _NOT_THERE and error.operation_name in _MAY_BE_MISSING


def _kind_of(error: Exception) -> str:
    # The server may send any text as a code, so a code is not used as a label.
    return f"HTTP {_status(error)}" if isinstance(error, ClientError) else type(error).__name__


def _status(error: ClientError) -> int:
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 500))


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", _status(error)))


def s3_client(settings: S3Settings, timeout_s: float) -> Any:
    """Make an aiobotocore client, a context manager, without retries: callers retry themselves."""
    return get_session().create_client(
        "s3",
        endpoint_url=settings.s3,
        region_name=settings.s3_region,
        aws_access_key_id=settings.s3_access_key or None,
        aws_secret_access_key=settings.s3_secret_key.get_secret_value() or None,
        verify=None if settings.s3_tls_ca is None else str(settings.s3_tls_ca),
        config=AioConfig(
            signature_version="s3v4",
            # Over TLS the driver would send bodies in chunks with a checksum behind the last one, which many
            # stores do not take. A signed hash protects a body as well, and is what goes over plain HTTP.
            s3={"addressing_style": "path", "payload_signing_enabled": True},
            request_checksum_calculation="when_required",
            connect_timeout=timeout_s,
            read_timeout=timeout_s,
            max_pool_connections=_CONNECTIONS_MAX,
            # When a request has waited in vain, no connection that was idle meanwhile is used again: its
            # peer may have vanished without closing it.
            connector_args={"keepalive_timeout": settings.media_look_timeout_ms / 1_000},
            retries={"max_attempts": 0},
        ),
    )
