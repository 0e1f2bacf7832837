"""Running one function for many items."""

import asyncio

import pytest

from streams.gathering import gather_bounded


class Runs:
    """Records the runs under way and those that ended; odd items fail if `fails`."""

    def __init__(self, *, fails: bool = False) -> None:
        self.under_way = 0
        self.most_under_way = 0
        self.ended: list[int] = []
        self.started = asyncio.Event()
        self._fails = fails

    async def __call__(self, item: int) -> int:
        self.under_way += 1
        self.started.set()
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            await asyncio.sleep(0)
            if self._fails and item % 2:
                raise ValueError(f"{item} is odd")
            await asyncio.sleep(0)
            self.ended.append(item)
            return 10 * item
        finally:
            self.under_way -= 1


async def test_results_are_in_the_order_of_the_items() -> None:
    """At most `at_once` items are under way at the same time."""
    runs = Runs()

    assert await gather_bounded(range(7), runs, at_once=3) == [0, 10, 20, 30, 40, 50, 60]
    assert runs.most_under_way == 3


async def test_without_items_nothing_runs() -> None:
    """The result is empty."""
    assert await gather_bounded((), Runs(), at_once=3) == []
    assert await gather_bounded((), Runs(), at_once=3, finish_all=True) == []


async def test_the_first_error_cancels_the_rest() -> None:
    """No run is under way afterwards."""
    runs = Runs(fails=True)

    with pytest.raises(ValueError, match="1 is odd"):
        await gather_bounded(range(100), runs, at_once=4)
    assert runs.under_way == 0
    assert len(runs.ended) < 50


async def test_with_finish_all_an_error_stops_no_other_item() -> None:
    """The first error is raised after all items have ended."""
    runs = Runs(fails=True)

    with pytest.raises(ValueError, match="1 is odd"):
        await gather_bounded(range(10), runs, at_once=4, finish_all=True)
    assert sorted(runs.ended) == [0, 2, 4, 6, 8]


@pytest.mark.parametrize("finish_all", [False, True])
async def test_a_cancelled_caller_leaves_nothing_running(finish_all: bool) -> None:
    """If the caller is cancelled, its items are cancelled, too."""
    runs = Runs()
    task = asyncio.create_task(gather_bounded(range(100), runs, at_once=4, finish_all=finish_all))
    await runs.started.wait()
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
    assert runs.under_way == 0
