"""The feed of the canary's reader over HTTP."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http import HTTPStatus

import aiohttp
import orjson

from schemas.ids import PhotoId, UserId, parse_id
from streams.errors import StoreUnavailable
from streams.monitor.canary import Post

STORE = "api"
PAGE_PHOTOS = 20


@dataclass(frozen=True, slots=True)
class HttpFeed:
    """Reads at the address `api`, within `timeout_s`. `token` returns a token for the reader."""

    http: aiohttp.ClientSession
    api: str
    token: Callable[[], str]
    timeout_s: float

    async def __call__(self) -> Sequence[Post]:
        """Return the newest photos of the feed.

        Raises:
            StoreUnavailable: The API returned an error, or did not respond; or there is no token.
        """
        try:
            async with self.http.get(
                f"{self.api.rstrip('/')}/v1/feed?limit={PAGE_PHOTOS}",
                headers={"Authorization": f"Bearer {self.token()}"},
                timeout=aiohttp.ClientTimeout(total=self.timeout_s),
            ) as response:
                body = await response.read()
            if response.status != HTTPStatus.OK:
                raise StoreUnavailable(STORE, "feed", f"it returned {response.status}: {body[:200]!r}")
            return _posts_of(body)
        except (OSError, ValueError, TimeoutError, aiohttp.ClientError) as error:
            raise StoreUnavailable(STORE, "feed", f"{type(error).__name__} {error}") from error


def _posts_of(body: bytes) -> Sequence[Post]:
    """Return the photos of a page of a feed in JSON.

    Raises:
        ValueError: It is no such page.
    """
    page = orjson.loads(body)
    items = page.get("items") if isinstance(page, dict) else None
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise ValueError("the body is no page of a feed, which has a list of photos as its items")
    return [
        Post(
            PhotoId(parse_id(item.get("photo_id"), "photo_id")),
            UserId(parse_id(item.get("author_id"), "author_id")),
        )
        for item in items
    ]
