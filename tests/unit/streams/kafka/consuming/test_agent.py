"""An agent passes records to its handler in order, and acknowledges only what the handler says."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import faust
import pytest
from faust.types import TP

from streams.kafka.consuming.agent import BatchHandler, Delivered, add_agent
from streams.kafka.consuming.app import make_app
from streams.kafka.consuming.fetched import Fetched, HandledOffsets
from streams.metrics import HANDLING
from streams.settings import ConsumerSettings

WITHIN_S = 10.0
LOG = TP("t", 0)


@pytest.fixture
async def app(tmp_path: Path) -> faust.App:
    app = make_app(
        ConsumerSettings(run_dir=tmp_path),
        "g",
        {"t": range(1)},
        poll_records_max=3,
        buffer_records_max=15,
    )
    app.consumer_generation_id = 1
    # An agent needs no more of a consumer; Faust's own would start an event loop in a thread.
    app.consumer = SimpleNamespace(_unacked_messages=set(), handled_offsets=HandledOffsets())
    return app


class Batches:
    """A handler that records its batches; it acknowledges all but the last `left` of each."""

    def __init__(self, left: int = 0) -> None:
        self.left = left
        self.values: list[list[bytes | None]] = []
        self.delivered: list[Delivered] = []
        self.handled = asyncio.Event()

    async def __call__(self, delivered: Delivered) -> None:
        self.values.append([record.value for record in delivered.records])
        self.delivered.append(delivered)
        delivered.ack(len(delivered.records) - self.left)
        self.handled.set()

    async def until(self, count: int) -> None:
        """Return when `count` records were handed over in all."""
        async with asyncio.timeout(WITHIN_S):
            while sum(map(len, self.values)) < count:
                self.handled.clear()
                await self.handled.wait()


@asynccontextmanager
async def running(app: faust.App, handle: BatchHandler, errors: list[BaseException]) -> AsyncIterator[Any]:
    """The agent, reading from memory; batches have at most 3 records."""
    add_agent(app, "a", "t", handle, batch_records_max=3, fatal=errors.append)
    async with app.agents["a"].test_context() as agent:
        yield agent


async def fetch(agent: Any, first: int, *values: bytes) -> None:
    """Hand a fetch whose first record has the offset `first` to the agent."""
    app = agent.app
    records = [record_at(first + number, value) for number, value in enumerate(values)]
    begin = app.consumer.handled_offsets.fetched(LOG, first, first + len(values))
    fetched = Fetched(LOG, begin, records, app.consumer_generation_id)
    await agent.channel.put(faust.Event(app, None, None, None, fetched))


def record_at(offset: int, value: bytes) -> Any:
    return SimpleNamespace(
        topic="t",
        partition=0,
        offset=offset,
        timestamp=1_700_000_000_000,
        timestamp_type=0,
        key=None,
        value=value,
        headers=(("h", b"v"),),
    )


def to_commit(app: faust.App) -> int | None:
    """The offset that is to be committed."""
    offset: int | None = app.consumer.handled_offsets.uncommitted().get(LOG)
    return offset


async def test_records_are_handed_over_in_order_in_bounded_batches(app: faust.App) -> None:
    """Records that have arrived are passed together, but never more than the limit."""
    batches = Batches()
    async with running(app, batches, []) as agent:
        await fetch(agent, 0, b"1", b"2")
        await fetch(agent, 2, b"3", b"4", b"5", b"6", b"7")
        await batches.until(7)

    assert [b"%d" % number for number in range(1, 8)] == [
        value for batch in batches.values for value in batch
    ]
    assert all(len(batch) <= 3 for batch in batches.values)
    assert list(range(7)) == [record.offset for batch in batches.delivered for record in batch.records]
    assert 7 == to_commit(app)
    assert (("h", b"v"),) == batches.delivered[0].records[0].headers


async def test_only_what_the_handler_acknowledged_is_committed(app: faust.App) -> None:
    """Law: commit never passes work. The last record is not done, so nothing above it is handled."""
    batches = Batches(left=1)
    async with running(app, batches, []) as agent:
        await fetch(agent, 5, b"1", b"2", b"3", b"4")
        await batches.until(3)

    assert [[b"1", b"2", b"3"]] == batches.values
    assert 7 == to_commit(app)


async def test_the_time_of_a_batch_that_is_done_is_measured(app: faust.App) -> None:
    """Two batches of the group are done; the one that the next owner handles is not."""
    HANDLING.clear()
    for left in (0, 1):
        batches = Batches(left)
        async with running(app, batches, []) as agent:
            await fetch(agent, 5, b"1", b"2", b"3", b"4")
            await batches.until(3 if left else 4)
        app.agents.pop("a")
    [counted] = [
        sample for metric in HANDLING.collect() for sample in metric.samples if sample.name.endswith("_count")
    ]

    assert ({"group": "g"}, 2) == (counted.labels, counted.value)


async def test_nothing_is_committed_of_a_batch_of_which_nothing_is_done(app: faust.App) -> None:
    batches = Batches(left=1)
    async with running(app, batches, []) as agent:
        await fetch(agent, 5, b"1")
        await batches.until(1)

    assert to_commit(app) is None


async def test_records_of_an_earlier_generation_are_left_out(app: faust.App) -> None:
    """The agent skips them: they are delivered again to their partition's next owner."""
    batches = Batches()
    async with running(app, batches, []) as agent:
        await fetch(agent, 0, b"old")
        app.consumer_generation_id = 2
        await fetch(agent, 0, b"new")
        await batches.until(1)

    assert [[b"new"]] == batches.values
    assert [2] == [delivered.generation for delivered in batches.delivered]


async def test_a_record_gathered_before_a_rebalance_is_left_out(
    app: faust.App, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is delivered again to its partition's next owner, so here it would be handled a second time."""
    batches = Batches()
    is_empty = faust.Channel.empty

    def rebalance(channel: faust.Channel[bytes]) -> bool:
        # The agent asks after each record whether more have arrived; the first is gathered by now.
        app.consumer_generation_id = 2
        return bool(is_empty(channel))

    monkeypatch.setattr(faust.Channel, "empty", rebalance)
    async with running(app, batches, []) as agent:
        await fetch(agent, 0, b"old")
        app.consumer_generation_id = 2
        await fetch(agent, 0, b"new")
        app.consumer_generation_id = 1
        await batches.until(1)

    assert [[b"new"]] == batches.values


async def test_a_partition_is_no_longer_assigned_after_a_rebalance(app: faust.App) -> None:
    """So a handler that still works on an earlier generation can see that and stop."""
    batches = Batches()
    async with running(app, batches, []) as agent:
        await fetch(agent, 0, b"1")
        await batches.until(1)
        before = batches.delivered[0].is_assigned()
        app.consumer_generation_id = 2

    assert (True, False) == (before, batches.delivered[0].is_assigned())


async def test_a_bug_is_fatal_and_acknowledges_nothing(app: faust.App) -> None:
    """If the error reached Faust, it would start the agent again, with the next fetch."""
    errors: list[BaseException] = []

    async def fail(delivered: Delivered) -> None:
        raise KeyError("a bug")

    async with running(app, fail, errors) as agent:
        await fetch(agent, 0, b"1")
        async with asyncio.timeout(WITHIN_S):
            while not errors:  # noqa: ASYNC110 - `fatal` sets no event.
                await asyncio.sleep(0)

    assert ["'a bug'"] == [str(error) for error in errors]
    assert to_commit(app) is None
