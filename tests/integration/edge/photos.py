"""What the tests of the edge need: put objects, sign URLs, send requests, count fetches."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import botocore.session
from botocore.config import Config

from api.reading.media_keys import MediaKeys, load_media_keys
from api.reading.signed_urls import UrlSigner
from infra.local.credentials import load_or_make
from infra.local.media_keys import MediaKey
from infra.local.servers.cache import CacheServer
from infra.local.servers.s3 import MEDIA_BUCKET, REGION
from infra.local.stack import Stack
from streams.settings import PhotoUrlSettings, Settings
from tests.integration.plain_http import Answer, ask, target_of

REQUESTS = 1_000
SIGNATURES = 7
LONG = "max-age=3600"
FILES = 8  # upkeep.js


@dataclass(frozen=True)
class Photos:
    """The stack of the edge and an S3 client, with the calls that the tests need."""

    stack: Stack
    s3: Any

    @property
    def edges(self) -> Sequence[int]:
        return [self.stack.server(name).port for name in ("edge", "edge-2")]

    @property
    def settings(self) -> Settings:
        environment = self.stack.environment()
        return Settings.model_validate(
            {name.removeprefix("SHUTTERLINE_").lower(): value for name, value in environment.items()}
        )

    def put(self, key: str, body: bytes, cache_control: str | None = LONG) -> str:
        """Put an object; returns its key."""
        more = {} if cache_control is None else {"CacheControl": cache_control}
        self.s3.put_object(Bucket=MEDIA_BUCKET, Key=key, Body=body, ContentType="image/jpeg", **more)
        return key

    def delete(self, key: str) -> None:
        self.s3.delete_object(Bucket=MEDIA_BUCKET, Key=key)

    async def sign(
        self, key: str, *, life_s: int = 1_800, signed_with: MediaKey | None = None, base: str = ""
    ) -> str:
        """Return the target of a URL that is valid for `life_s`, signed with the newest key unless
        `signed_with` is given."""
        media_key = signed_with or load_or_make(self.stack.home.secrets).media_keys[0]
        signer = UrlSigner(
            media_url=base or self.settings.media_url,
            keys=media_keys_of(media_key),
            life_s_min=life_s,
            life_s_max=life_s + 1,
            clock_us=lambda: time.time_ns() // 1_000,
            count=lambda kept, signed: None,
        )
        return target_of((await signer.urls([key]))[key].url)

    async def view(self, key: str, edge: int = 0, headers: Mapping[str, str] | None = None) -> Answer:
        return await ask(self.edges[edge], await self.sign(key), headers=headers)

    async def view_all(self, key: str, requests: int) -> list[Answer]:
        """Send `requests` requests at once, spread over seven signatures and both edges."""
        targets = [await self.sign(key, life_s=1_800 + number) for number in range(SIGNATURES)]
        return await asyncio.gather(
            *(
                ask(self.edges[number % 2], targets[number % SIGNATURES], headers={"Cookie": f"u={number}"})
                for number in range(requests)
            )
        )

    async def metric(self, server: str, sample: str) -> int:
        """Return the sum of one server's samples whose line begins with `sample`."""
        nginx = self.stack.server(server)
        assert isinstance(nginx, CacheServer)
        return summed(await ask(nginx.status_port, "/metrics"), sample)

    async def fetches(self) -> tuple[int, int]:
        """Return how often the shield sent a request to S3, and how often S3 received a
        GetObject."""
        of_s3 = await ask(self.stack.server("s3").port, "/metrics")
        lines = [line for line in of_s3.body.decode().splitlines() if 'operation="GetObject"' in line]
        counts = [line for line in lines if line.startswith("http_server_request_duration_seconds_count")]
        asked = await self.metric("shield", "shutterline_edge_origin_fetches_total")
        return asked, sum(int(float(line.rsplit(" ", 1)[1])) for line in counts)


@cache
def media_keys_of(key: MediaKey) -> MediaKeys:
    return load_media_keys(PhotoUrlSettings(media_key_id=key.key_id, media_private_key=key.private_key))


def ports_of(stack: Stack) -> dict[str, int]:
    """The ports of the servers that are started, for one more server beside them."""
    names = ("s3", "s3_store", "shield", "shield_status", "edge", "edge_status")
    return {name: port for name in names if (port := stack.port(name)) is not None}


def summed(metrics: Answer, sample: str) -> int:
    lines = metrics.body.decode().splitlines()
    return sum(int(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(sample))


def clock_reaches(moment_s: float) -> Callable[[], Any]:
    async def reached() -> bool:
        return time.time() >= moment_s

    return reached


def s3_client(stack: Stack, access_key: str, secret_key: str) -> Any:
    return botocore.session.get_session().create_client(
        "s3",
        region_name=REGION,
        endpoint_url=f"http://127.0.0.1:{stack.port('s3')}",
        aws_access_key_id=access_key,
        aws_secret_access_key=secret_key,
        config=Config(s3={"addressing_style": "path"}, signature_version="s3v4"),
    )
