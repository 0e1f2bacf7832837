"""The media bucket, as far as the write side asks of it: is the original there?"""

import asyncio
from time import monotonic
from typing import Any

from aiobotocore.config import AioConfig
from aiobotocore.session import get_session
from botocore.exceptions import BotoCoreError, ClientError

from streams.core.breaker import Breaker
from streams.errors import StoreUnavailable
from streams.metrics import BREAKER
from streams.settings import Settings

STORE = "s3"
_NOT_THERE = {"404", "NoSuchKey", "NotFound"}


class S3Originals:
    """Objects by key in one bucket."""

    def __init__(self, client: Any, bucket: str, breaker: Breaker, timeout_s: float) -> None:
        self._client = client
        self._bucket = bucket
        self._breaker = breaker
        self._timeout_s = timeout_s

    async def exists(self, object_key: str) -> bool:
        """Whether the bucket holds `object_key`."""
        if not self._breaker.allows(monotonic()):
            raise StoreUnavailable(STORE, "head", "its breaker is open")
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._client.head_object(Bucket=self._bucket, Key=object_key)
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") in _NOT_THERE:
                self._breaker.succeeded()
                BREAKER.labels(STORE).set(self._breaker.is_open)
                return False
            self._breaker.failed(monotonic())
            BREAKER.labels(STORE).set(self._breaker.is_open)
            raise StoreUnavailable(STORE, "head", str(error)) from error
        except (BotoCoreError, OSError, TimeoutError) as error:
            self._breaker.failed(monotonic())
            BREAKER.labels(STORE).set(self._breaker.is_open)
            raise StoreUnavailable(STORE, "head", f"{type(error).__name__} {error}") from error
        self._breaker.succeeded()
        BREAKER.labels(STORE).set(self._breaker.is_open)
        return True


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
            retries={"max_attempts": 0},
        ),
    )
