"""A sample of all groups takes a few requests, and what is away leaves out only what depends on it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import pytest

from streams.core.lag.arithmetic import messages_of, seconds_of
from streams.core.lag.samples import GroupLogs, GroupSample, Log, Members, PartitionSample
from streams.errors import StoreUnavailable
from streams.kafka.offsets.gaps import NextRecord
from streams.monitor.groups import pipeline_groups
from streams.monitor.sampling import Sampler
from streams.settings import Settings
from tests.worlds.kafka import LOCAL
from topics.catalogue import FANOUT, Lane

AWAY = StoreUnavailable("kafka", "offsets", "down")
BULK, NORMAL = "t.fanout-bulk", "t.fanout-normal"
FANOUT_NAME = "t.fanout"
BULK_LOG: Log = (FANOUT_NAME, LOCAL.range_of(FANOUT, Lane.BULK).start)
NOW_MS = 1_800_000_000_000
RECORD_MS = NOW_MS - 4_000


@dataclass(slots=True)
class Broker:
    """Offsets and members as brokers report them; `asked` has the logs that were read, call by call."""

    end_of: dict[Log, int] = field(default_factory=dict)
    commit_of: dict[tuple[str, Log], int] = field(default_factory=dict)
    record_of: dict[Log, int] = field(default_factory=dict)
    away: set[str] = field(default_factory=set)
    unreadable: set[Log] = field(default_factory=set)
    calls: list[str] = field(default_factory=list)
    asked: list[dict[Log, int]] = field(default_factory=list)

    async def commits(self, group: str, logs: Iterable[Log]) -> dict[Log, int]:
        self._call("commits", group)
        return {log: self.commit_of[group, log] for log in logs if (group, log) in self.commit_of}

    async def begins(self, partitions: Iterable[Log]) -> dict[Log, int]:
        self._call("bounds")
        return dict.fromkeys(partitions, 0)

    async def ends(self, partitions: Iterable[Log]) -> dict[Log, int]:
        self._call("bounds")
        return {log: self.end_of.get(log, 0) for log in partitions}

    async def next_records(self, offsets: Mapping[Log, int]) -> dict[Log, NextRecord]:
        self._call("read")
        self.asked.append(dict(offsets))
        return {log: self._next(log, offset) for log, offset in offsets.items() if log not in self.unreadable}

    async def of(self, groups: Iterable[str]) -> dict[str, Members]:
        self._call("members")
        return {group: Members(ids=frozenset({"m"}), owners={}) for group in groups}

    def _next(self, log: Log, offset: int) -> NextRecord:
        record = self.record_of.get(log, offset)
        end = self.end_of[log]
        return (
            NextRecord(record, True, RECORD_MS) if offset <= record < end else NextRecord(end, exists=False)
        )

    def _call(self, *names: str) -> None:
        self.calls.append(names[0])
        if self.away & set(names):
            raise AWAY


class World:
    def __init__(self) -> None:
        self.broker = Broker()
        self.now_s = 100.0
        self.sampler = Sampler(self.broker, self.broker, lambda: NOW_MS, lambda: self.now_s)
        self.groups: list[GroupLogs] = pipeline_groups("t.", LOCAL, still_s=60, renditions=Settings())

    async def sample(self) -> dict[str, GroupSample | StoreUnavailable]:
        self.now_s += 2.0
        return await self.sampler.sample(self.groups)

    async def partition(self, group: str = BULK, log: Log = BULK_LOG) -> PartitionSample:
        sample = (await self.sample())[group]
        assert isinstance(sample, GroupSample)
        return sample.partitions[log]


@pytest.fixture
def world() -> World:
    return World()


def test_every_partition_of_the_pipeline_belongs_to_one_group(world: World) -> None:
    """Lanes share a topic and no partition; a rendition may take as long as its decoder."""
    logs = [log for group in world.groups for log in group.logs()]
    assert len(set(logs)) == len(logs) == 6 + 6 + 6 + 8 + 8 + 6
    [bulk] = [group for group in world.groups if group.group == BULK]
    assert [(FANOUT_NAME, partition) for partition in LOCAL.range_of(FANOUT, Lane.BULK)] == bulk.logs()
    assert [Lane.BULK] == [topic.lane for topic in bulk.topics]
    assert [60.0, 60.0, 60.0, 60.0, 120.0, 660.0] == [group.still_s for group in world.groups]


async def test_a_sample_of_an_idle_system_reads_no_log(world: World) -> None:
    """One request for commits a group, two for all logs, one call for the members."""
    samples = await world.sample()

    assert not any(isinstance(sample, StoreUnavailable) for sample in samples.values())
    assert {"commits": 6, "bounds": 2, "members": 1} == {
        name: world.broker.calls.count(name) for name in set(world.broker.calls)
    }


async def test_the_record_at_a_commit_is_read_once(world: World) -> None:
    """Until the commit moves; records that arrive behind it change nothing."""
    world.broker.end_of[BULK_LOG], world.broker.commit_of[BULK, BULK_LOG] = 9, 5
    world.broker.record_of[BULK_LOG] = 6
    for end in (9, 12, 30):
        world.broker.end_of[BULK_LOG] = end
        sample = await world.partition()
        assert (5, 6, RECORD_MS) == (sample.committed, sample.next_offset, sample.record_ms)
        assert (end - 6, 4.0) == (messages_of(sample), seconds_of(sample))
    assert [{BULK_LOG: 5}] == world.broker.asked

    world.broker.commit_of[BULK, BULK_LOG] = 7
    world.broker.record_of[BULK_LOG] = 7
    assert 7 == (await world.partition()).next_offset
    assert [{BULK_LOG: 5}, {BULK_LOG: 7}] == world.broker.asked


async def test_a_gap_at_the_end_is_read_again_only_where_the_log_has_grown(world: World) -> None:
    """An aborted transaction: nothing waits, although the commit is below the end."""
    world.broker.end_of[BULK_LOG], world.broker.commit_of[BULK, BULK_LOG] = 9, 5
    world.broker.record_of[BULK_LOG] = -1
    for _ in range(3):
        assert 0 == messages_of(await world.partition())
    world.broker.end_of[BULK_LOG] = 11
    world.broker.record_of[BULK_LOG] = 10

    assert 1 == messages_of(await world.partition())
    assert [{BULK_LOG: 5}, {BULK_LOG: 9}] == world.broker.asked


async def test_a_topic_that_was_made_again_is_read_again(world: World) -> None:
    """What was known of the former one could hide that records wait."""
    world.broker.end_of[BULK_LOG], world.broker.record_of[BULK_LOG] = 50, 40
    assert 10 == messages_of(await world.partition())
    world.broker.end_of[BULK_LOG], world.broker.record_of[BULK_LOG] = 3, 0

    assert 3 == messages_of(await world.partition())


async def test_a_log_that_cannot_be_read_costs_its_time_limit_now_and_then(world: World) -> None:
    """Its seconds are unknown, and those of the others are not."""
    other = (FANOUT_NAME, 0)
    world.broker.end_of = {BULK_LOG: 9, other: 3}
    world.broker.unreadable = {BULK_LOG}
    sample = await world.partition()
    assert (9, None) == (messages_of(sample), seconds_of(sample))
    assert 4.0 == seconds_of(await world.partition(NORMAL, other))
    for _ in range(10):
        await world.sample()

    assert 2 == sum(BULK_LOG in asked for asked in world.broker.asked)


@pytest.mark.parametrize(
    ("away", "failed"),
    [("bounds", 6), ("commits", 6), (BULK, 1), ("members", 0), ("read", 0)],
)
async def test_what_is_away_leaves_out_what_depends_on_it(world: World, away: str, failed: int) -> None:
    """A coordinator that is away takes its groups alone. Without members there are no owners."""
    world.broker.end_of[BULK_LOG] = 9
    world.broker.away = {away}
    samples = await world.sample()

    assert failed == sum(isinstance(sample, StoreUnavailable) for sample in samples.values())
    bulk = samples[BULK]
    if isinstance(bulk, GroupSample):
        assert (bulk.members is None) is (away == "members")
        assert (seconds_of(bulk.partitions[BULK_LOG]) is None) is (away == "read")
