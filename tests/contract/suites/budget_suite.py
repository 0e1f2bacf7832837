"""What `RebuildBudget`, `SharedRates` and `Leases` promise."""

import asyncio
from collections.abc import Callable

from streams.core.limits.rates import Rate
from streams.ports.groups import Stores
from tests.contract.limits import REBUILDS_PER_S_MAX
from tests.contract.passing_time import PassingTime

NewId = Callable[[], int]
# So slow that what is refilled during a test is less than one token.
SLOW = Rate(per_s=0.001, burst=10)


class RebuildBudgetSuite:
    async def test_no_more_than_the_limit_begin_in_a_second(
        self, stores: Stores, passing: PassingTime
    ) -> None:
        """Of 50 concurrent calls, the budget grants at most the limit. After it is refilled, it
        grants again."""

        async def one_more() -> bool:
            return await stores.rebuild_budget.take()

        await passing.until(one_more, "the budget grants a rebuild")
        begun_ms = passing.now_ms()
        granted = sum(await asyncio.gather(*(stores.rebuild_budget.take() for _ in range(50))))
        took_s = (passing.now_ms() - begun_ms) / 1_000

        assert granted <= REBUILDS_PER_S_MAX * (1 + took_s)
        await passing.until(one_more, "the budget is refilled")


class RatesSuite:
    async def test_tokens_are_taken_even_if_fewer_are_left(self, stores: Stores, new_id: NewId) -> None:
        """A new bucket is full. A debt is at most a burst."""
        bucket = f"bucket {new_id()}"
        left = [await stores.rates.spend(bucket, tokens, SLOW) for tokens in (4, 5, 3, 50)]

        assert [round(tokens) for tokens in left] == [6, 1, -2, -10]

    async def test_concurrent_callers_share_a_bucket(self, stores: Stores, new_id: NewId) -> None:
        """No token is spent twice."""
        bucket = f"bucket {new_id()}"
        left = await asyncio.gather(*(stores.rates.spend(bucket, 1, SLOW) for _ in range(10)))

        assert sorted(round(tokens) for tokens in left) == list(range(10))

    async def test_buckets_are_separate(self, stores: Stores, new_id: NewId) -> None:
        """Each name has its own tokens."""
        first, second = f"bucket {new_id()}", f"bucket {new_id()}"
        await stores.rates.spend(first, 10, SLOW)

        assert round(await stores.rates.spend(second, 1, SLOW)) == 9

    async def test_a_bucket_refills_up_to_its_burst(
        self, stores: Stores, new_id: NewId, passing: PassingTime
    ) -> None:
        """The refill pays a debt first; a full bucket does not grow."""
        bucket, rate = f"bucket {new_id()}", Rate(per_s=10, burst=2)
        left = await stores.rates.spend(bucket, 3, rate)

        async def is_full() -> bool:
            return await stores.rates.spend(bucket, 0, rate) == rate.burst

        assert -1 <= left < 0
        await passing.until(is_full, "the bucket is full again")
        assert 0.9 <= await stores.rates.spend(bucket, 1, rate) <= rate.burst


class LeasesSuite:
    async def test_so_many_holders_have_a_slot(self, stores: Stores, new_id: NewId) -> None:
        """Also of concurrent callers. A released slot is free; each name has its own."""
        name, other = f"name {new_id()}", f"name {new_id()}"
        holders = [str(new_id()) for _ in range(10)]
        taken = await asyncio.gather(*(_take(stores, name, holder) for holder in holders))
        await stores.leases.release(name, holders[taken.index(True)])

        assert sum(taken) == 2
        assert await _take(stores, other, holders[0])
        assert [await _take(stores, name, str(new_id())) for _ in range(2)] == [True, False]

    async def test_only_a_holder_can_release_its_slot(self, stores: Stores, new_id: NewId) -> None:
        """Releasing may be repeated."""
        name, holders = f"name {new_id()}", [str(new_id()) for _ in range(3)]
        for holder in holders:
            await _take(stores, name, holder)
        for _ in range(2):
            await stores.leases.release(name, holders[2])

        assert not await _take(stores, name, holders[2])

    async def test_a_holder_that_takes_its_slot_again_keeps_it(
        self, stores: Stores, new_id: NewId, passing: PassingTime
    ) -> None:
        """A holder that does not loses it, whatever the others of the name do."""
        name, alive, dead, next_one = f"name {new_id()}", *(str(new_id()) for _ in range(3))
        for holder in (alive, dead):
            await _take(stores, name, holder, ttl_ms=1_000)

        async def is_taken_over() -> bool:
            assert await _take(stores, name, alive, ttl_ms=1_000)
            return await _take(stores, name, next_one)

        assert not await _take(stores, name, next_one)
        await passing.until(is_taken_over, "the slot of the dead holder is free")
        assert not await _take(stores, name, dead)


async def _take(stores: Stores, name: str, holder: str, ttl_ms: int = 60_000) -> bool:
    return await stores.leases.take(name, holder, slots_max=2, ttl_ms=ttl_ms)
