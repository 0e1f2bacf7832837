"""The ids of photos that arrive over HTTP, minted from a shard that only this process uses."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Self

from api.http.problems import unavailable
from schemas.ids import PhotoId
from schemas.minting import ClockWentBack, IdMinter
from streams.clock import unix_ms
from streams.jobs.minting import leased_minter
from streams.ports.coordination import ShardLeases


class PhotoIds:
    """Leases a shard for the first id, and another one if the lease was lost. An async context manager."""

    def __init__(self, shard_leases: ShardLeases, clock_ms: Callable[[], int] = unix_ms) -> None:
        self._shard_leases = shard_leases
        self._clock_ms = clock_ms
        self._minter: IdMinter | None = None
        self._leases = AsyncExitStack()
        self._turn = asyncio.Lock()

    async def mint(self) -> PhotoId:
        """Return a new id.

        Raises:
            Problem: 503 if no shard is free or the clock went back.
            StoreUnavailable: The leases could not be read.
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
            # This process minted no id until its lease ran out, and another process took the shard.
            # So it leases another shard.
            self._minter = None
            return await (await self._leased()).mint()

    async def _leased(self) -> IdMinter:
        if self._minter is None:
            lease = leased_minter(self._shard_leases, clock_ms=self._clock_ms)
            self._minter = await self._leases.enter_async_context(lease)
        return self._minter

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._leases.aclose()
