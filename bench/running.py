"""What the benches share: a stack of their own, feeds over HTTP, and percentiles."""

import asyncio
import os
import statistics
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import httpx
import jwt

from infra.local.deployment import Deployment
from infra.local.stack import Stack

# Another folder lets two benches go on side by side, for those who only try them.
HOME = Path(os.environ.get("SHUTTERLINE_BENCH_HOME", ".local/bench"))
PAGE_PHOTOS = 100
RETRIES_MAX = 200


@contextmanager
def bench_stack() -> Iterator[Stack]:
    """A fresh stack that ends with the bench."""
    stack = Stack(HOME, dies_with_parent=True)
    stack.clean()
    stack.start_servers()
    try:
        yield stack
    finally:
        stack.stop()


def token(deployment: Deployment, user: int) -> str:
    """A token of an hour for one user."""
    claims = {"sub": str(user), "exp": int(time.time()) + 3_600}
    return jwt.encode(claims, deployment.settings.jwt_secret.get_secret_value(), algorithm="HS256")


class FeedClient:
    """Reads feeds as the apps do; keeps how long each request took, in seconds."""

    def __init__(self, deployment: Deployment, http: httpx.AsyncClient) -> None:
        self._deployment = deployment
        self._http = http
        self._tokens: dict[int, str] = {}
        self.took_s: list[float] = []

    async def page(self, user: int, *, limit: int = 20, cursor: str | None = None) -> httpx.Response:
        if user not in self._tokens:
            self._tokens[user] = token(self._deployment, user)
        parameters = {"limit": str(limit)} | ({"cursor": cursor} if cursor else {})
        began = time.perf_counter()
        answer = await self._http.get(
            "/v1/feed", params=parameters, headers={"Authorization": f"Bearer {self._tokens[user]}"}
        )
        self.took_s.append(time.perf_counter() - began)
        return answer

    async def walk(self, user: int, depth: int) -> list[int]:
        """The newest `depth` ids of the feed, page by page, once every page says that it is complete.

        Raises:
            TimeoutError: A page stayed incomplete.
        """
        ids: list[int] = []
        cursor = None
        while len(ids) < depth:
            body = await self._complete_page(user, cursor)
            ids.extend(int(photo["photo_id"]) for photo in body["items"])
            cursor = body["next_cursor"]
            if cursor is None:
                break
        return ids[:depth]

    async def _complete_page(self, user: int, cursor: str | None) -> dict:  # type: ignore[type-arg]
        for _ in range(RETRIES_MAX):
            answer = await self.page(user, limit=PAGE_PHOTOS, cursor=cursor)
            if answer.status_code == 200 and answer.json()["completeness"] == "complete":
                return dict(answer.json())
            if answer.status_code not in (200, 429, 503):
                raise RuntimeError(f"feed of {user}: {answer.status_code} {answer.text}")
            await asyncio.sleep(float(answer.headers.get("Retry-After", "0.2")))
        raise TimeoutError(f"the feed of {user} stayed incomplete: {answer.status_code} {answer.text[:300]}")


@asynccontextmanager
async def feed_client(deployment: Deployment) -> AsyncIterator[FeedClient]:
    limits = httpx.Limits(max_connections=64)
    async with httpx.AsyncClient(base_url=deployment.settings.api, limits=limits, timeout=30) as http:
        yield FeedClient(deployment, http)


def percentiles(seconds: Sequence[float]) -> str:
    """p50, p95 and p99 in milliseconds."""
    if len(seconds) < 2:
        return "too few"
    cuts = statistics.quantiles(seconds, n=100, method="inclusive")
    return " ".join(f"p{at} {1_000 * cuts[at - 1]:.1f} ms" for at in (50, 95, 99))
