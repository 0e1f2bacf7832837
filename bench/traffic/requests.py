"""Requests over HTTP, each repeated until the API acknowledges it."""

import asyncio
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import aiohttp

from schemas.ids import UserId
from shutterline.client.feed import FeedClient, Json

RETRY_S = 0.5  # Whatever Retry-After says, so that the load goes on while a store refuses.
NO_ANSWER = 0
# 404: the photo's event is not handled yet. 409: the first try of an upload is still under way.
RETRIED = (404, 409, 429, 503)


@dataclass(frozen=True, slots=True)
class Requests:
    """`statuses` counts the responses by kind of request and status; `NO_ANSWER` is one that broke off."""

    client: FeedClient
    statuses: Counter[tuple[str, int]] = field(default_factory=Counter)

    async def acknowledged(
        self,
        kind: str,
        method: str,
        path: str,
        user: UserId,
        headers: Mapping[str, str] = MappingProxyType({}),
        data: bytes | None = None,
    ) -> Json:
        """Repeat the request until it succeeds; returns the JSON of its response.

        Raises:
            AssertionError: The status is neither a success nor one that a client retries.
        """
        sent = {"Authorization": f"Bearer {self.client.token_of(user)}", **headers}
        while True:
            try:
                async with self.client.http.request(
                    method, f"{self.client.api}{path}", headers=sent, data=data
                ) as response:
                    self.statuses[kind, response.status] += 1
                    if response.ok:
                        body: Json = await response.json(content_type=None) or {}
                        return body
                    if response.status not in RETRIED:
                        raise AssertionError(f"{method} {path}: {response.status} {await response.text()}")
            except (aiohttp.ClientError, TimeoutError):
                self.statuses[kind, NO_ANSWER] += 1
            await asyncio.sleep(RETRY_S)
