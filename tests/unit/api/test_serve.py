"""What ends an API process is one error, which its command turns into one line."""

import asyncio

import pytest

from streams.gathering import run_together
from topics.sizes import TopicMismatch


async def test_the_first_error_ends_all_loops_and_is_raised_without_a_group() -> None:
    """Topics of another profile are found out when Kafka answers, while the other loops run."""
    ended = asyncio.Event()

    async def loop() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async def refuse() -> None:
        await asyncio.sleep(0)
        raise TopicMismatch("topic fanout has 8 partitions")

    with pytest.raises(TopicMismatch, match="topic fanout has 8 partitions"):
        await run_together(loop, refuse)
    assert ended.is_set()


async def test_a_loop_that_ends_leaves_the_others_alone() -> None:
    """The comparison of sizes returns once it has succeeded."""
    went_on = False

    async def returns() -> None:
        pass

    async def goes_on() -> None:
        nonlocal went_on
        await asyncio.sleep(0.01)
        went_on = True

    await run_together(returns, goes_on)
    assert went_on
