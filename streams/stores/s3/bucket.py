"""One bucket of S3 for asyncio: a deadline, a breaker, and what an answer means."""

import asyncio
from time import monotonic
from typing import Any

import aiohttp
from aiobotocore.config import AioConfig
from aiobotocore.session import get_session
from botocore.exceptions import BotoCoreError, ClientError

from streams.core.breaker import Breaker
from streams.errors import StoreUnavailable
from streams.metrics import BREAKER
from streams.settings import Settings

STORE = "s3"
_NOT_THERE = frozenset({"404", "NoSuchKey", "NotFound", "NoSuchUpload"})
# Refusals that pass by themselves.
_TRANSIENT = frozenset({"RequestTimeout", "OperationAborted", "ConditionalRequestConflict"})
# Operations that take as long as their bytes do; finishing parts copies them, on some servers.
_TRANSFERS = frozenset(
    {
        *("get_object", "put_object", "upload_part", "complete_multipart_upload"),
        # And as long as their thousand keys do.
        *("list_objects_v2", "list_multipart_uploads", "delete_objects"),
    }
)
_CONNECTIONS_MAX = 64


class S3Refused(Exception):
    """The server understood and said no: our bug, or a race that the caller knows of. `code` is S3's."""

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
        self._breaker = breaker
        self._look_timeout_s = look_timeout_s
        self._transfer_timeout_s = transfer_timeout_s

    async def call(self, operation: str, **arguments: object) -> Any:
        """The answer to one operation of the client; None where its object or upload is not there.

        Raises:
            StoreUnavailable: No answer in time, or the server failed.
            S3Refused: The server refused it.
        """
        if not self._breaker.allows(monotonic()):
            raise StoreUnavailable(STORE, operation, "its breaker is open")
        timeout_s = self._transfer_timeout_s if operation in _TRANSFERS else self._look_timeout_s
        try:
            async with asyncio.timeout(timeout_s):
                answer = await getattr(self.client, operation)(Bucket=self.name, **arguments)
                body = answer.get("Body")
                if body is not None:
                    async with body as stream:
                        answer["Body"] = await stream.read()
        except ClientError as error:
            return self._refused(operation, error)
        except (BotoCoreError, aiohttp.ClientError, OSError, TimeoutError) as error:
            self._answered(False)
            raise StoreUnavailable(STORE, operation, f"{type(error).__name__} {error}") from error
        self._answered(True)
        return answer

    def _refused(self, operation: str, error: ClientError) -> None:
        """None for what is not there; raises otherwise."""
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 500)
        code = str(error.response.get("Error", {}).get("Code", status))
        # 501 is an answer: it will never do that.
        if (status >= 500 and status != 501) or status == 429:
            self._answered(False)
            raise StoreUnavailable(STORE, operation, str(error)) from error
        self._answered(True)
        if code not in _NOT_THERE:
            raise S3Refused(operation, code, str(error)) from error

    def _answered(self, did: bool) -> None:
        if did:
            self._breaker.succeeded()
        else:
            self._breaker.failed(monotonic())
        BREAKER.labels(STORE).set(self._breaker.is_open)


def s3_client(settings: Settings, timeout_s: float) -> Any:
    """An aiobotocore client's context manager; the store's own breaker and retries replace botocore's."""
    return get_session().create_client(
        "s3",
        endpoint_url=settings.s3,
        region_name=settings.s3_region,
        aws_access_key_id=settings.s3_access_key or None,
        aws_secret_access_key=settings.s3_secret_key.get_secret_value() or None,
        config=AioConfig(
            signature_version="s3v4",
            s3={"addressing_style": "path"},
            connect_timeout=timeout_s,
            read_timeout=timeout_s,
            max_pool_connections=_CONNECTIONS_MAX,
            retries={"max_attempts": 0},
        ),
    )
