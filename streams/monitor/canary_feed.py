"""The feed of the canary's reader over HTTP."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http import HTTPStatus

import aiohttp
import orjson

from schemas.ids import PhotoId, UserId
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
            items = orjson.loads(body)["items"]
            return [Post(PhotoId(int(item["photo_id"])), UserId(int(item["author_id"]))) for item in items]
        except (OSError, ValueError, KeyError, TimeoutError, aiohttp.ClientError) as error:
            raise StoreUnavailable(STORE, "feed", f"{type(error).__name__} {error}") from error
