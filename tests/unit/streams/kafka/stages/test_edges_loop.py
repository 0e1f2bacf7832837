"""The batch loop over `edges`: partitions side by side, one batch of each at a time."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast
from unittest.mock import AsyncMock

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import CommitFailedError, KafkaError, UnknownError
from prometheus_client import REGISTRY

from bench.traffic.waiting import eventually
from schemas.internal import RECOUNT, EdgeRecord, SetKind, encode_edges, encode_recount
from streams.core.sets import BucketKey, BucketWrite, SetSummary
from streams.kafka.consuming.partitions import PartitionConsumer
from streams.kafka.consuming.progress import Layers, Progress
from streams.kafka.stages.edges_loop import EdgesLoop
from streams.metrics import HANDLING
from streams.ports.edges import CountedSets
from streams.ports.groups import Stores
from streams.settings import Settings
from streams.stores.memory.stores import memory_stores
from tests.worlds.kafka_batches import packed_batch, with_wrong_checksum
from tests.worlds.kafka_log import Log

PHOTO = 9
FAILING, SLOW = TopicPartition("edges", 0), TopicPartition("edges", 1)
OTHER = TopicPartition("edges", 5)
TURNS = 50  # Turns of the event loop. If the batch loop went on, it would poll within ten.


def like(member: int, owner: int, offset: int) -> SimpleNamespace:
    edge = EdgeRecord(SetKind.LIKERS, member, owner, 1, removed=False)
    return SimpleNamespace(offset=offset, value=encode_edges([edge]), headers=())


def recount(owner: int, offset: int) -> SimpleNamespace:
    buckets = encode_recount([(SetKind.LIKERS, owner, 0, 0)])
    return SimpleNamespace(offset=offset, value=None, headers=((RECOUNT, buckets),))


@dataclass
class Consumer:
    """Returns one of `polls` for each poll, then blocks; commits of `FAILING` raise `error`."""

    polls: Sequence[Mapping[TopicPartition, Sequence[SimpleNamespace]]]
    error: KafkaError
    polled: int = 0
    refused: int = 0
    commits: list[tuple[TopicPartition, int]] = field(default_factory=list)
    may_commit: asyncio.Event | None = None  # Commits wait for it.
    start = stop = AsyncMock()

    def subscribe(self, *_: object, **__: object) -> None:
        pass

    async def getmany(self, **_: object) -> Mapping[TopicPartition, Sequence[SimpleNamespace]]:
        if self.polled == len(self.polls):
            await asyncio.Event().wait()
        self.polled += 1
        return self.polls[self.polled - 1]

    async def commit(self, offsets: Mapping[TopicPartition, int]) -> None:
        [(place, offset)] = offsets.items()
        if self.may_commit is not None:
            await self.may_commit.wait()
        if place == FAILING:
            self.refused += 1
            raise self.error
        self.commits.append((place, offset))


class HeldSets:
    """Counted sets whose writes for `PHOTO` wait until `may_write` is set."""

    def __init__(self, real: CountedSets) -> None:
        self._real = real
        self.may_write = asyncio.Event()

    async def write(self, writes: Sequence[BucketWrite]) -> None:
        if any(write.key.owner == PHOTO for write in writes):
            await self.may_write.wait()
        await self._real.write(writes)

    def __getattr__(self, operation: str) -> Any:
        return getattr(self._real, operation)


def loop_over(consumer: Consumer, counted_sets: object, stores: Stores) -> EdgesLoop:
    settings, outbox = Settings(edges_linger_ms=1), cast("Any", AsyncMock())
    return EdgesLoop(
        consuming=settings,
        settings=settings,
        retry=settings,
        counted_sets=cast("CountedSets", counted_sets),
        cache=stores.cache,
        outbox=outbox,
        group="edges",
        progress=Progress(),
        new_consumer=lambda **_: consumer,
        retry_s=0,
    )


@pytest.mark.law("L7")
@pytest.mark.parametrize("error", [UnknownError(), CommitFailedError()])
async def test_a_commit_that_fails_leaves_no_batch_behind(error: KafkaError) -> None:
    """The next batch of a partition begins when the one before is applied, whatever another's commit met:
    side by side the second would be counted without the first, and its commit would pass the first."""
    polls = [{FAILING: [like(1, 8, 0)], SLOW: [like(1, PHOTO, 0)]}, {SLOW: [like(2, PHOTO, 1)]}]
    consumer = Consumer(polls, error)
    stores = memory_stores(clock_ms=lambda: 1_800_000_000_000)
    held = HeldSets(stores.counted_sets)
    running = asyncio.create_task(loop_over(consumer, held, stores).run())
    await eventually("the other partition's commit to fail", lambda: consumer.refused)
    for _ in range(TURNS):
        await asyncio.sleep(0)
    polled = consumer.polled
    held.may_write.set()
    await eventually("the slow partition to be committed", lambda: len(consumer.commits) == 2)
    running.cancel()

    assert polled == 1
    assert consumer.commits == [(SLOW, 1), (SLOW, 2)]
    assert (await stores.counted_sets.summaries(SetKind.LIKERS, [PHOTO]))[PHOTO].total == 2


@pytest.mark.law("L7")
async def test_no_partition_counts_as_stuck_while_another_waits_for_a_store() -> None:
    """The loop reads none of them meanwhile. A worker that ended then would wait again after its start."""
    now_s = [0.0]
    stores = memory_stores(clock_ms=lambda: 1_800_000_000_000)
    held = HeldSets(stores.counted_sets)
    consumer = Consumer([{SLOW: [like(1, PHOTO, 0)]}], UnknownError())
    loop = loop_over(consumer, held, stores)
    loop.progress.clock_s = lambda: now_s[0]
    await loop.on_partitions_assigned([SLOW, OTHER])
    running = asyncio.create_task(loop.run())
    await eventually("the batch to begin", lambda: consumer.polled == 1)
    ends = dict.fromkeys(loop.progress.owned(), 7)

    for _ in range(3):
        now_s[0] += 61.0
        assert [] == loop.progress.stuck(ends, still_s_max=60.0)
    held.may_write.set()
    await eventually("the batch to be committed", lambda: consumer.commits)
    await eventually("the next poll", lambda: not any(s.excuses for s in loop.progress._states.values()))
    now_s[0] += 61.0
    stuck = loop.progress.stuck(ends, still_s_max=60.0)
    running.cancel()

    assert [OTHER.partition] == [partition.partition for partition in stuck]


@pytest.mark.law("L7")
async def test_a_batch_whose_partition_is_revoked_meanwhile_is_not_committed() -> None:
    """Its next owner applies it again; a commit of ours could pass what that owner has not applied."""
    stores = memory_stores(clock_ms=lambda: 1_800_000_000_000)
    held = HeldSets(stores.counted_sets)
    consumer = Consumer([{SLOW: [like(1, PHOTO, 0)]}, {OTHER: [like(1, 8, 0)]}], UnknownError())
    loop = loop_over(consumer, held, stores)
    running = asyncio.create_task(loop.run())
    await eventually("the batch to begin", lambda: consumer.polled == 1)

    await loop.on_partitions_revoked([SLOW])
    held.may_write.set()
    await eventually("the next batch to be committed", lambda: consumer.commits)
    running.cancel()

    assert consumer.commits == [(OTHER, 1)]


@pytest.mark.law("L6")
async def test_what_was_cached_before_a_revocation_is_forgotten() -> None:
    """Another owner wrote the set meanwhile; counted from the cached rows its like would be lost."""
    stores = memory_stores(clock_ms=lambda: 1_800_000_000_000)
    consumer = Consumer([{SLOW: [like(1, PHOTO, 0)]}], UnknownError())
    loop = loop_over(consumer, stores.counted_sets, stores)
    running = asyncio.create_task(loop.run())
    await eventually("the first batch to be committed", lambda: consumer.commits == [(SLOW, 1)])
    running.cancel()
    await loop.on_partitions_revoked([SLOW])
    another = Consumer([{SLOW: [like(2, PHOTO, 1)]}], UnknownError())
    other_owner = asyncio.create_task(loop_over(another, stores.counted_sets, stores).run())
    await eventually("the other owner's batch to be committed", lambda: another.commits == [(SLOW, 2)])
    other_owner.cancel()

    consumer.polls, consumer.polled = [{SLOW: [like(3, PHOTO, 2)]}], 0
    running = asyncio.create_task(loop.run())
    await eventually("the last batch to be committed", lambda: consumer.commits[-1] == (SLOW, 3))
    running.cancel()

    assert (await stores.counted_sets.summaries(SetKind.LIKERS, [PHOTO]))[PHOTO].total == 3


async def test_a_commit_that_waits_is_no_stuck_consumer() -> None:
    """The coordinator is away; a new process would wait for it as well, after it applied the batch again."""
    stores = memory_stores(clock_ms=lambda: 1_800_000_000_000)
    may_commit = asyncio.Event()
    consumer = Consumer([{SLOW: [like(1, 8, 0)]}], UnknownError(), may_commit=may_commit)
    loop = loop_over(consumer, stores.counted_sets, stores)
    await loop.on_partitions_assigned([SLOW])
    partition = loop._group_partition(SLOW)
    running = asyncio.create_task(loop.run())
    await eventually("the batch to be applied", lambda: loop.progress.position(partition) == 1)

    stuck = [loop.progress.stuck({partition: 9}, -1.0) for _ in range(2)]
    may_commit.set()
    await eventually("the batch to be committed", lambda: consumer.commits)
    running.cancel()

    assert stuck == [[], []]


async def test_a_batch_whose_commit_is_refused_counts_as_handled() -> None:
    """It is applied. Otherwise the partition would look stuck until the next batch."""
    stores = memory_stores(clock_ms=lambda: 1_800_000_000_000)
    consumer = Consumer([{FAILING: [like(1, 8, 0)]}], CommitFailedError())
    loop = loop_over(consumer, stores.counted_sets, stores)
    await loop.on_partitions_assigned([FAILING])
    running = asyncio.create_task(loop.run())
    await eventually("the commit to be refused", lambda: consumer.refused)
    running.cancel()

    assert loop.progress.position(loop._group_partition(FAILING)) == 1


class LocalConsumer(PartitionConsumer):
    """The loop's own consumer over a log in memory."""

    def __init__(self, log: Log) -> None:
        super().__init__(bootstrap_servers="127.0.0.1:1", group_id="edges")
        self.log = log

    def subscribe(self, *_: object, **__: object) -> None:
        self._subscription.assign_from_user(list(self.log.batches))

    async def start(self) -> None:
        await self.log.consume(self)

    async def stop(self) -> None:
        await self._fetcher.close()
        self._closed = True

    async def commit(self, offsets: Mapping[TopicPartition, int]) -> None:
        pass


@pytest.mark.law("L7")
async def test_an_edge_is_counted_although_another_partition_cannot_be_read() -> None:
    """The error of one partition took records of others out of the buffer, and later commits passed them."""
    assert EdgesLoop.__dataclass_fields__["new_consumer"].default is PartitionConsumer
    likes = [encode_edges([EdgeRecord(SetKind.LIKERS, member, 8, 1, removed=False)]) for member in range(5)]
    good = [packed_batch([value], begin=index) for index, value in enumerate(likes)]
    log = Log({SLOW: good, FAILING: [with_wrong_checksum(good[0])]})
    stores = memory_stores(clock_ms=lambda: 1_800_000_000_000)
    loop = loop_over(Consumer([], UnknownError()), stores.counted_sets, stores)
    loop.new_consumer = lambda **_: LocalConsumer(log)
    running = asyncio.create_task(loop.run())

    async def total() -> bool:
        return (await stores.counted_sets.summaries(SetKind.LIKERS, [8]))[8].total == 5

    await eventually("the likes to be counted", total)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_a_recount_is_a_batch_of_its_own() -> None:
    """It comes between two batches of edges, as in the log: its count must not have another's stamp."""
    stores = memory_stores(clock_ms=lambda: 1_800_000_000_000)
    key = BucketKey(SetKind.LIKERS, PHOTO, 0, 0)
    wrong = BucketWrite(key, {}, count=99, summary=SetSummary(level=0, total=99), stamp=1)
    await stores.counted_sets.write([wrong])
    consumer = Consumer([{OTHER: [like(1, PHOTO, 0), recount(PHOTO, 1), like(2, PHOTO, 2)]}], UnknownError())
    running = asyncio.create_task(loop_over(consumer, stores.counted_sets, stores).run())
    await eventually("all batches to be committed", lambda: len(consumer.commits) == 3)
    running.cancel()

    assert consumer.commits == [(OTHER, 1), (OTHER, 2), (OTHER, 3)]
    assert (await stores.counted_sets.summaries(SetKind.LIKERS, [PHOTO]))[PHOTO].total == 2
    assert (await stores.counted_sets.bucket(key)).count == 2


async def test_what_is_fetched_and_not_committed_is_in_flight() -> None:
    """Until the batch is applied and its commit acknowledged."""
    stores = memory_stores(clock_ms=lambda: 1_800_000_000_000)
    consumer = Consumer([{SLOW: [like(1, 8, 3), like(2, 8, 4)]}], UnknownError(), may_commit=asyncio.Event())
    loop = loop_over(consumer, stores.counted_sets, stores)
    HANDLING.clear()
    await loop.on_partitions_assigned([SLOW])
    [owned] = loop.progress.owned()
    loop.progress.committed(owned, 3)
    running = asyncio.create_task(loop.run())
    await eventually("the batch is applied", lambda: loop.progress.position(owned) == 5)

    assert {owned: Layers(unfetched=2, in_flight=2)} == loop.progress.layers({owned: 7})
    handled = REGISTRY.get_sample_value("shutterline_handling_seconds_count", {"group": loop.group})
    assert ({loop.group: 2}, 1) == (loop.progress.in_flight(), handled)
    assert consumer.may_commit is not None
    consumer.may_commit.set()
    await eventually("the batch is committed", lambda: consumer.commits)
    await asyncio.sleep(0)
    assert {owned: Layers(unfetched=2, in_flight=0)} == loop.progress.layers({owned: 7})
    running.cancel()


async def test_a_rebalance_of_its_group_is_counted() -> None:
    """The loop has a consumer of its own beside those of the agents."""
    stores = memory_stores(clock_ms=lambda: 1_800_000_000_000)
    loop = loop_over(Consumer([], UnknownError()), stores.counted_sets, stores)
    name, labels = "shutterline_consumer_rebalances_total", {"group": "edges", "reason": "members"}
    before = REGISTRY.get_sample_value(name, labels) or 0

    for _ in range(2):
        await loop.on_partitions_revoked([SLOW])
        await loop.on_partitions_assigned([SLOW])

    assert before + 1 == REGISTRY.get_sample_value(name, labels)
