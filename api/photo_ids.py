"""The ids of photos that come over HTTP: minted here, from a shard that is this process's alone."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Self

from api.http.problems import unavailable
from schemas.ids import PhotoId
from schemas.minting import ClockWentBack, IdMinter
from streams.jobs.minting import leased_minter
from streams.ports.groups import Stores


class PhotoIds:
    """Leases a shard with the first id, and another where it has lost it. An async context manager."""

    def __init__(self, stores: Stores, clock_ms: Callable[[], int]) -> None:
        self._stores = stores
        self._clock_ms = clock_ms
        self._minter: IdMinter | None = None
        self._leases = AsyncExitStack()
        self._turn = asyncio.Lock()

    async def mint(self) -> PhotoId:
        """A new id.

        Raises:
            Problem: 503, when there is no shard to be had, or the clock is behind.
            StoreUnavailable: The leases are not known.
        """
        async with self._turn:
            try:
                return await self._mint()
            except (LookupError, PermissionError, ClockWentBack) as error:
                raise unavailable(f"There is no id for the photo: {error}.") from None

    async def _mint(self) -> PhotoId:
        try:
            return await (await self._leased()).mint()
        except PermissionError:
            # Idle for so long that the lease ran out and another process took the shard.
            self._minter = None
            return await (await self._leased()).mint()

    async def _leased(self) -> IdMinter:
        if self._minter is None:
            lease = leased_minter(self._stores.shard_leases, clock_ms=self._clock_ms)
            self._minter = await self._leases.enter_async_context(lease)
        return self._minter

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._leases.aclose()
