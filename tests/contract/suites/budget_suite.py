"""What `RebuildBudget` and `SharedRates` promise."""

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
