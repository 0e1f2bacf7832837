"""What `RebuildBudget` promises."""

import asyncio

from streams.ports.groups import Stores
from tests.contract.limits import REBUILDS_PER_S_MAX
from tests.contract.passing_time import PassingTime


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
