"""Read the HTTP API as a client does: a page, a whole feed, a user's counts."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from time import monotonic
from typing import Any

import aiohttp

from schemas.ids import PhotoId, UserId
from streams.errors import StoreUnavailable
from streams.settings import ApiSettings

STORE = "api"
PAGE_PHOTOS_MAX = 100
REQUEST_S = 10.0
# How long to retry a page that is not complete, or while the API is overloaded.
SETTLE_S = 30.0
RETRY_AFTER_S = 0.25
CONNECTIONS_MAX = 32

Json = dict[str, Any]
TokenOf = Callable[[UserId], str]


class RetryLater(StoreUnavailable):
    """The API returned 429 or 503; `retry_after_s` is its Retry-After."""

    def __init__(self, path: str, cause: str, retry_after_s: float) -> None:
        super().__init__(STORE, path, cause)
        self.retry_after_s = retry_after_s


class ApiRefused(Exception):
    """The API returned an error that a retry does not change."""


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a feed, as the API returned it."""

    items: list[Json]
    next_cursor: str | None
    completeness: str


@dataclass(slots=True)
class FeedWalk:
    """A feed read from the top, page by page.

    `items` are in the order of the pages; `complete` says whether every page was; `ended`, whether the
    last page was reached.
    """

    items: list[Json] = field(default_factory=list)
    complete: bool = True
    ended: bool = False

    @property
    def ids(self) -> list[PhotoId]:
        return [PhotoId(int(item["photo_id"])) for item in self.items]


class FeedReader(ABC):
    """Reads as any user; `settled` and `walk` retry until the response is final."""

    settle_s: float = SETTLE_S

    @abstractmethod
    async def get(self, path: str, user: UserId) -> tuple[Json, float]:
        """The response's JSON, and its Retry-After in seconds (0: the response is final).

        Raises:
            ApiRefused: Any status but 2xx, 429 and 503.
            RetryLater: 429 or 503.
            StoreUnavailable: No answer.
        """

    async def page(self, user: UserId, *, limit: int, cursor: str | None = None) -> Page:
        """One page, without a retry; raises as `get` does."""
        body, _ = await self.get(feed_path(limit, cursor), user)
        return _page(body)

    async def settled(self, path: str, user: UserId) -> Json:
        """The response to `path` once it is final; a page of a feed is final once it is `complete`.

        After `settle_s` a page is returned as it is. This is a loop of its own because each response names
        the next wait, and because the last try is at the deadline, however late Retry-After is.

        Raises:
            StoreUnavailable: Nothing but 429, 503 or no answer within `settle_s`.
            ApiRefused: See `get`.
        """
        deadline_s = monotonic() + self.settle_s
        while True:
            retry_after_s = RETRY_AFTER_S
            try:
                body, stated_s = await self.get(path, user)
                if body.get("completeness", "complete") == "complete" or monotonic() > deadline_s:
                    return body
                retry_after_s = stated_s or RETRY_AFTER_S
            except StoreUnavailable as error:
                if monotonic() > deadline_s:
                    raise
                if isinstance(error, RetryLater):
                    retry_after_s = error.retry_after_s or RETRY_AFTER_S
            # The last try is at the deadline, however late Retry-After is.
            await asyncio.sleep(min(retry_after_s, max(RETRY_AFTER_S, deadline_s - monotonic())))

    async def walk(self, user: UserId, *, depth: int) -> FeedWalk:
        """The feed's first `depth` photos, or somewhat more, page by page; raises as `settled` does."""
        walk, cursor = FeedWalk(), None
        while len(walk.items) < depth and not walk.ended:
            page = _page(await self.settled(feed_path(PAGE_PHOTOS_MAX, cursor), user))
            walk.items.extend(page.items)
            walk.complete &= page.completeness == "complete"
            cursor, walk.ended = page.next_cursor, page.next_cursor is None
        return walk


@dataclass(frozen=True, slots=True)
class FeedClient(FeedReader):
    """Reads over HTTP, with the tokens of `token_of`."""

    http: aiohttp.ClientSession
    api: str
    token_of: TokenOf

    async def get(self, path: str, user: UserId) -> tuple[Json, float]:
        headers = {"Authorization": f"Bearer {self.token_of(user)}"}
        try:
            async with self.http.get(f"{self.api}{path}", headers=headers) as answer:
                body: Json = await answer.json(content_type=None)
                retry_after_s = float(answer.headers.get("Retry-After", 0))
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            raise StoreUnavailable(STORE, path, f"{type(error).__name__} {error}") from error
        return final(path, answer.status, body, retry_after_s), retry_after_s


def final(path: str, status: int, body: Json, retry_after_s: float = 0.0) -> Json:
    """The body of a response that is not an error; raises as `FeedReader.get` does."""
    if status in (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE):
        raise RetryLater(path, f"{status} {body.get('detail')}", retry_after_s)
    if status >= HTTPStatus.BAD_REQUEST:
        raise ApiRefused(f"The API answered {path} with {status}: {body.get('detail')}")
    return body


def feed_path(limit: int, cursor: str | None = None) -> str:
    """The path of a page; a cursor is made of characters that need no quoting."""
    return f"/v1/feed?limit={limit}" + (f"&cursor={cursor}" if cursor else "")


def _page(body: Json) -> Page:
    return Page(body["items"], body["next_cursor"], body["completeness"])


@asynccontextmanager
async def feed_client(settings: ApiSettings, token_of: TokenOf) -> AsyncIterator[FeedClient]:
    """A client of `settings.api`."""
    connector = aiohttp.TCPConnector(limit=CONNECTIONS_MAX)
    timeout = aiohttp.ClientTimeout(total=REQUEST_S)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as http:
        yield FeedClient(http, settings.api.rstrip("/"), token_of)
