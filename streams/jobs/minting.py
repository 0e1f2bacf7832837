"""Mint photo ids in a long-running process: lease a shard, reserve ids ahead, release the shard."""

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
    """Yield a minter for a leased shard; no other process mints with this shard meanwhile.

    The shard is released at the end. Its next holder starts after the last millisecond that was
    reserved here, so ids stay unique even if the process is killed and never releases the shard.

    Raises:
        LookupError: All shards that were tried are leased.
        StoreUnavailable: The store of the leases did not answer.
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
        with suppress(StoreUnavailable):  # If the release fails, the lease expires by itself.
            await shards.release(holder, lease.shard)


def _reserving(
    shards: ShardLeases, holder: str, shard: int, clock_ms: Callable[[], int]
) -> Callable[[int], Awaitable[None]]:
    async def reserve(until_ms: int) -> None:
        await shards.reserve(holder, shard, until_ms, clock_ms())

    return reserve
