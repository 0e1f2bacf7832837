"""The CDN's shield and edges over HTTP, at their status ports."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from http import HTTPStatus

import aiohttp
from more_itertools import sliced
from yarl import URL

from streams.core.limits.breaker import Breaker
from streams.errors import StoreUnavailable
from streams.ports.cdn import Cdn
from streams.settings import CdnSettings
from streams.stores.guard import StoreGuard, breaker_of

STORE = "edge"
# A key has at most 1,024 bytes, and in JSON at most six times that. So a request has at most 614
# KB, which is below the CDN edges' limit of 1 MiB.
KEYS_A_REQUEST = 100
_SECRET_HEADER = "X-Shutterline-Edge"

# Sends a request (method, URL, JSON body or None) and returns the status of the response.
Send = Callable[[str, str, object], Awaitable[int]]


class HttpCdn(Cdn):
    """The shield, which is the first of `addresses`, and the CDN edges behind it."""

    def __init__(self, addresses: Sequence[str], send: Send, breaker: Breaker) -> None:
        """`send` adds the secret and the timeouts. Without addresses, a purge does nothing."""
        self._addresses = addresses
        self._send = send
        self._guard = StoreGuard(STORE, breaker, timeout_s=None, errors=(aiohttp.ClientError, OSError))

    async def purge(self, object_keys: Sequence[str]) -> None:
        # Purge the shield before the edges. Otherwise an edge that is already purged could fetch
        # the old object from the shield.
        for keys in sliced(list(object_keys), KEYS_A_REQUEST):
            for address in self._addresses[:1]:
                await self._purge(address, keys)
            await asyncio.gather(*(self._purge(address, keys) for address in self._addresses[1:]))

    async def refresh(self, object_path: str) -> bool:
        """Fetch an object again into the shield and then into every CDN edge, cached or not.

        `object_path` is percent-encoded and begins with a slash, as in the edges' log. Returns
        False if the bucket no longer has the object; cached objects are not changed then.

        Raises:
            StoreUnavailable: The bucket, the shield or an edge did not respond; others may have it.
        """
        for address in self._addresses:
            url = f"{address}/objects{object_path}"
            status = await self._guard.run(f"refresh at {url}", self._send, "GET", url, None)
            if status == HTTPStatus.NOT_FOUND:
                return False
            _expect(status, HTTPStatus.OK, f"refresh at {url}")
        return True

    async def _purge(self, address: str, object_keys: Sequence[str]) -> None:
        url, body = f"{address}/purge", {"object_keys": list(object_keys)}
        status = await self._guard.run(f"purge at {url}", self._send, "POST", url, body)
        _expect(status, HTTPStatus.NO_CONTENT, f"purge at {url}")


def _expect(status: int, expected: HTTPStatus, operation: str) -> None:
    if status != expected:
        raise StoreUnavailable(STORE, operation, f"the status is {status}, not {expected}")


@asynccontextmanager
async def cdn(settings: CdnSettings) -> AsyncIterator[HttpCdn]:
    """Yield the CDN that the settings name; its connections are closed afterwards."""
    headers = {_SECRET_HEADER: settings.edge_secret.get_secret_value()}
    timeout_s = settings.edge_timeout_ms / 1_000
    # The timeout applies to connecting and to each read, not to the request as a whole. So a large
    # object may take longer if its bytes continue to arrive.
    timeout = aiohttp.ClientTimeout(total=None, connect=timeout_s, sock_read=timeout_s)
    async with aiohttp.ClientSession(headers=headers, timeout=timeout) as client:

        async def send(method: str, url: str, body: object) -> int:
            # The URL is encoded already. Reading the body lets the connection be used again.
            async with client.request(method, URL(url, encoded=True), json=body) as response:
                await response.read()
                return response.status

        yield HttpCdn(
            [address.rstrip("/") for address in settings.edges.split(",") if address],
            send,
            breaker_of(settings),
        )
