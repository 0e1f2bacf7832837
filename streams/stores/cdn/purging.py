"""The edges and the shield, as our own programs ask them: over HTTP, at their status ports."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from time import monotonic

import httpx

from streams.core.breaker import Breaker
from streams.core.slices import slices
from streams.errors import StoreUnavailable
from streams.metrics import BREAKER
from streams.settings import Settings

STORE = "edge"
# A key is at most 1,024 bytes, six times that in JSON: a request stays below the edges' limit of 1 MiB.
KEYS_A_REQUEST = 100
_SECRET_HEADER = "X-Shutterline-Edge"


class HttpCdn:
    """Copies of objects in the shield (the first address) and in the edges; see `edge_ports.HttpCdn`."""

    def __init__(self, addresses: Sequence[str], client: httpx.AsyncClient, breaker: Breaker) -> None:
        """`client` sends the secret and has the timeouts; without addresses there is nothing to purge."""
        self._addresses = addresses
        self._client = client
        self._breaker = breaker

    async def purge(self, object_keys: Sequence[str]) -> None:
        # The shield before the edges: an edge that misses in between must not get the shield's old copy.
        for some in slices(list(object_keys), KEYS_A_REQUEST):
            for address in self._addresses[:1]:
                await self._purge(address, some)
            await asyncio.gather(*(self._purge(address, some) for address in self._addresses[1:]))

    async def refresh(self, object_path: str) -> bool:
        """Fetch an object anew into the shield, then into every edge, whatever copies they have.

        `object_path` is percent-encoded and begins with a slash, as the edges' log has it. False where the
        bucket has no such object any more; the copies stay as they are then.

        Raises:
            StoreUnavailable: One of them, or the bucket, did not answer; the others may have it anew.
        """
        for address in self._addresses:
            answer = await self._ask("refresh", "GET", f"{address}/objects{object_path}")
            if answer.status_code == httpx.codes.NOT_FOUND:
                return False
            self._expect(answer, "refresh", httpx.codes.OK)
        return True

    async def _purge(self, address: str, object_keys: Sequence[str]) -> None:
        answer = await self._ask("purge", "POST", f"{address}/purge", json={"object_keys": list(object_keys)})
        self._expect(answer, "purge", httpx.codes.NO_CONTENT)

    async def _ask(self, operation: str, method: str, url: str, json: object = None) -> httpx.Response:
        if not self._breaker.allows(monotonic()):
            raise StoreUnavailable(STORE, operation, "its breaker is open")
        try:
            answer = await self._client.request(method, url, json=json)
        except httpx.HTTPError as error:
            self._breaker.failed(monotonic())
            raise StoreUnavailable(STORE, operation, f"{url}: {type(error).__name__} {error}") from error
        else:
            self._breaker.succeeded()
            return answer
        finally:
            BREAKER.labels(STORE).set(self._breaker.is_open)

    def _expect(self, answer: httpx.Response, operation: str, code: int) -> None:
        if answer.status_code != code:
            raise StoreUnavailable(
                STORE, operation, f"{answer.url} answered {answer.status_code}, not {code}"
            )


@asynccontextmanager
async def cdn(settings: Settings) -> AsyncIterator[HttpCdn]:
    """The caches that the settings name; their connections end with the block."""
    async with httpx.AsyncClient(
        headers={_SECRET_HEADER: settings.edge_secret.get_secret_value()},
        timeout=settings.edge_timeout_ms / 1_000,
        trust_env=False,  # These are our own machines: no proxy stands between.
    ) as client:
        yield HttpCdn(
            [address.rstrip("/") for address in settings.edges.split(",") if address],
            client,
            Breaker(failures_max=settings.breaker_failures_max, open_s=settings.breaker_open_ms / 1_000),
        )
