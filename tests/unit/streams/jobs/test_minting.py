"""A process leases one shard, mints photo ids in it, and releases the shard at the end."""

import pytest

from schemas.ids import id_ms
from streams.jobs.minting import leased_minter
from streams.stores.memory.stores import memory_stores
from tests.worlds.api import Clock


async def test_two_at_once_have_shards_of_their_own() -> None:
    """Two processes that mint in the same millisecond make different ids."""
    clock = Clock()
    stores = memory_stores(clock_ms=lambda: clock.ms, shard_leases=2)

    async with (
        leased_minter(stores.shard_leases, clock_ms=lambda: clock.ms) as one,
        leased_minter(stores.shard_leases, clock_ms=lambda: clock.ms) as other,
    ):
        clock.ms += 1
        first, second = await one.mint(), await other.mint()

    assert first != second
    assert id_ms(first) == id_ms(second) == clock.ms


async def test_the_shard_is_given_back_also_after_a_failure() -> None:
    """Otherwise, if there is only one shard, the next process could not mint."""
    clock = Clock()
    stores = memory_stores(clock_ms=lambda: clock.ms, shard_leases=1)
    with pytest.raises(RuntimeError, match="on purpose"):
        async with leased_minter(stores.shard_leases, clock_ms=lambda: clock.ms):
            raise RuntimeError("on purpose")

    async with leased_minter(stores.shard_leases, clock_ms=lambda: clock.ms) as minter:
        clock.ms += 1
        assert await minter.mint()


async def test_the_next_holder_starts_after_what_was_reserved() -> None:
    """Before it was killed, the first holder may have minted all ids that it had reserved."""
    clock = Clock()
    stores = memory_stores(clock_ms=lambda: clock.ms, shard_leases=1)
    async with leased_minter(stores.shard_leases, clock_ms=lambda: clock.ms) as minter:
        clock.ms += 1
        last = await minter.mint()
    clock.ms += 10_000

    async with leased_minter(stores.shard_leases, clock_ms=lambda: clock.ms) as minter:
        assert await minter.mint() > last
