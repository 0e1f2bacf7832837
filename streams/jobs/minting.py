"""Mint photo ids in a process that runs for a while: lease a shard, reserve ahead, give it back."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from uuid import uuid4

from schemas.minting import IdMinter
from streams.clock import unix_ms
from streams.errors import StoreUnavailable
from streams.ports.coordination import ShardLeases


@asynccontextmanager
async def leased_minter(
    shards: ShardLeases, *, clock_ms: Callable[[], int] = unix_ms
) -> AsyncIterator[IdMinter]:
    """A minter of a shard that nobody else mints with; the shard is given back at the end.

    Who takes the shard next starts after what was reserved here, so giving it back early
    or not at all (a kill) is as safe as doing it.

    Raises:
        LookupError: All shards tried are leased.
        StoreUnavailable: The leases' store did not answer.
    """
    holder = str(uuid4())
    lease = await shards.acquire(holder, clock_ms())
    minter = IdMinter(
        lease.shard,
        clock_ms=clock_ms,
        sleep=asyncio.sleep,
        reserve=_reserving(shards, holder, lease.shard, clock_ms),
        last_ms=lease.last_ms,
    )
    try:
        yield minter
    finally:
        with suppress(StoreUnavailable):  # Then the lease runs out by itself.
            await shards.release(holder, lease.shard)


def _reserving(
    shards: ShardLeases, holder: str, shard: int, clock_ms: Callable[[], int]
) -> Callable[[int], Awaitable[None]]:
    async def reserve(until_ms: int) -> None:
        await shards.reserve(holder, shard, until_ms, clock_ms())

    return reserve
