"""What `ShardLeases` promises."""

import asyncio
from uuid import uuid4

import pytest

from streams.ports.groups import Stores
from tests.contract.limits import SHARDS

# A lease is valid for one minute, so two minutes later it has expired.
LEASE_PAST_MS = 120_000


class ShardLeasesSuite:
    """`shard_now_ms` is a time at which no shard is leased. There are only three shards."""

    async def test_holders_have_different_shards(self, stores: Stores, shard_now_ms: int) -> None:
        """When all shards are held, the next acquire fails."""
        leases = [await stores.shard_leases.acquire(str(uuid4()), shard_now_ms) for _ in range(SHARDS)]

        assert {lease.shard for lease in leases} == set(range(SHARDS))
        with pytest.raises(LookupError):
            await stores.shard_leases.acquire(str(uuid4()), shard_now_ms + 1)

    @pytest.mark.law("L13")
    async def test_a_new_holder_starts_after_all_that_was_reserved(
        self, stores: Stores, shard_now_ms: int
    ) -> None:
        """So no id is minted twice, whatever the clocks say."""
        reserved: dict[int, int] = {}
        for at in range(SHARDS):
            holder = str(uuid4())
            lease = await stores.shard_leases.acquire(holder, shard_now_ms)
            reserved[lease.shard] = shard_now_ms + 1_000 + at
            await stores.shard_leases.reserve(holder, lease.shard, reserved[lease.shard], shard_now_ms)
        later_ms = shard_now_ms + LEASE_PAST_MS
        leases = [await stores.shard_leases.acquire(str(uuid4()), later_ms) for _ in range(SHARDS)]

        assert {lease.shard: lease.last_ms for lease in leases} == reserved

    async def test_a_holder_that_lost_its_shard_cannot_reserve(
        self, stores: Stores, shard_now_ms: int
    ) -> None:
        """If the lease has expired and another process took the shard, the old holder gets an error
        and must stop minting."""
        holder = str(uuid4())
        lease = await stores.shard_leases.acquire(holder, shard_now_ms)
        await stores.shard_leases.reserve(holder, lease.shard, shard_now_ms + 1_000, shard_now_ms)
        later_ms = shard_now_ms + LEASE_PAST_MS
        for _ in range(SHARDS):
            await stores.shard_leases.acquire(str(uuid4()), later_ms)

        with pytest.raises(PermissionError, match=f"shard {lease.shard}"):
            await stores.shard_leases.reserve(holder, lease.shard, later_ms + 5_000, later_ms)

    async def test_reserving_renews_the_lease(self, stores: Stores, shard_now_ms: int) -> None:
        """A process that continues to reserve ids continues to hold its shard. Other processes get
        the other shards."""
        holder = str(uuid4())
        lease = await stores.shard_leases.acquire(holder, shard_now_ms)
        later_ms = shard_now_ms + LEASE_PAST_MS
        await stores.shard_leases.reserve(holder, lease.shard, later_ms - 1_000, later_ms - 1_000)
        others = [await stores.shard_leases.acquire(str(uuid4()), later_ms) for _ in range(SHARDS - 1)]

        assert lease.shard not in {other.shard for other in others}
        with pytest.raises(LookupError):
            await stores.shard_leases.acquire(str(uuid4()), later_ms)

    async def test_a_released_shard_is_free_at_once(self, stores: Stores, shard_now_ms: int) -> None:
        """Only the holder can release its shard. The next holder starts after the ids that were
        reserved."""
        held = [
            (holder := str(uuid4()), await stores.shard_leases.acquire(holder, shard_now_ms))
            for _ in range(SHARDS)
        ]
        holder, lease = held[0]
        await stores.shard_leases.reserve(holder, lease.shard, shard_now_ms + 50, shard_now_ms)
        await stores.shard_leases.release(held[1][0], lease.shard)

        with pytest.raises(LookupError):
            await stores.shard_leases.acquire(str(uuid4()), shard_now_ms + 100)

        await stores.shard_leases.release(holder, lease.shard)
        taken = await stores.shard_leases.acquire(str(uuid4()), shard_now_ms + 100)

        assert (taken.shard, taken.last_ms) == (lease.shard, shard_now_ms + 50)

    async def test_a_shard_whose_ids_run_ahead_of_the_clock_is_skipped(
        self, stores: Stores, shard_now_ms: int
    ) -> None:
        """A holder of this shard would have to wait until the clock passes the reserved ids."""
        for _ in range(SHARDS):
            holder = str(uuid4())
            lease = await stores.shard_leases.acquire(holder, shard_now_ms)
            await stores.shard_leases.reserve(holder, lease.shard, shard_now_ms + 500, shard_now_ms)
            await stores.shard_leases.release(holder, lease.shard)

        with pytest.raises(LookupError):
            await stores.shard_leases.acquire(str(uuid4()), shard_now_ms + 499)
        assert (
            await stores.shard_leases.acquire(str(uuid4()), shard_now_ms + 500)
        ).last_ms == shard_now_ms + 500

    async def test_racing_holders_get_different_shards(self, stores: Stores, shard_now_ms: int) -> None:
        """No shard is leased twice when several acquire at once."""
        leases = await asyncio.gather(
            *(stores.shard_leases.acquire(str(uuid4()), shard_now_ms) for _ in range(SHARDS + 2)),
            return_exceptions=True,
        )
        shards = [lease.shard for lease in leases if not isinstance(lease, BaseException)]
        refused = [error for error in leases if isinstance(error, BaseException)]

        assert len(shards) == len(set(shards))
        assert all(isinstance(error, LookupError) for error in refused)
