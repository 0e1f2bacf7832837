"""Ten minutes of a system in which a worker died and a celebrity posted, as the real monitor judges them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from schemas.envelope import Reason
from schemas.operations import RunState, encode_dead_letters_run, encode_switch_moved
from streams.core.lag.history import LagHistory
from streams.core.lag.rebalances import RebalanceLog
from streams.core.lag.report import Json
from streams.core.lag.samples import GroupLogs, Log, Members, StoredFacts
from streams.core.overload.backlog import LaneBacklog
from streams.core.overload.switches import Switch, SwitchState
from streams.core.workers.report import GroupWork, WorkerReport
from streams.jobs.dead_letters.depth import DeadLettersDepth
from streams.jobs.records import StoredRecord
from streams.kafka.offsets.gaps import NextRecord
from streams.monitor.canary import Outcome
from streams.monitor.freshness import FreshnessLog
from streams.monitor.groups import pipeline_groups
from streams.monitor.monitor import LagMonitor
from streams.monitor.operations import OperationsTail
from streams.monitor.overview import Overview
from streams.monitor.sampling import Sampler
from streams.monitor.sources.brokers import Brokers
from streams.monitor.sources.hottest_keys import HottestKeys
from streams.monitor.sources.workers import Workers
from streams.monitor.stored import Stored
from streams.overload.watch import sentence
from streams.settings import Settings
from streams.stores.memory.coordination import MemoryHandledDeadLetters, MemoryWorkerReports
from tests.unit.streams.jobs.dead_letters.letters import MemoryLog, letter
from tests.worlds.api import FakeRecords
from tests.worlds.kafka import LOCAL
from topics.catalogue import FANOUT, FOLLOWS, LIKES, OPERATIONS, UPLOADS, Lane

NOW_MS = 1_800_000_000_000
LOOK_S, MINUTES = 2, 10
HOTTEST_KEY = 806_154_000_000_000_000
DIED_S, POSTED_S = -200, -260
SWITCHED = SwitchState(
    switch=Switch.BREAKER, is_on=True, since_ms=NOW_MS - 230_000, measured=5_000_412, version=3
)


@dataclass(slots=True)
class Cluster:
    """Offsets and members at `at_s`, seconds from now: workers 1 and 2 share the groups until 2 dies."""

    at_s: float = 0.0
    ends: dict[Log, float] = field(default_factory=dict)
    commits_of: dict[Log, float] = field(default_factory=dict)

    def go_on(self, seconds: float, logs: Iterable[Log]) -> None:
        """Produce and consume for so long."""
        self.at_s += seconds
        for log in logs:
            produced, consumed = _rates(log, self.at_s)
            self.ends[log] = self.ends.get(log, 5_000.0) + produced * seconds
            commit = self.commits_of.get(log, 5_000.0) + consumed * seconds
            self.commits_of[log] = min(commit, self.ends[log])

    async def commits(self, group: str, logs: Iterable[Log]) -> dict[Log, int]:
        return {log: int(self.commits_of[log]) for log in logs}

    async def begins(self, partitions: Iterable[Log]) -> dict[Log, int]:
        return dict.fromkeys(partitions, 0)

    async def ends_of(self, partitions: Iterable[Log]) -> dict[Log, int]:
        return {log: int(self.ends[log]) for log in partitions}

    async def next_records(self, offsets: Mapping[Log, int]) -> dict[Log, NextRecord]:
        return {log: NextRecord(offset, True, self._time_ms(log, offset)) for log, offset in offsets.items()}

    async def of(self, groups: Iterable[str]) -> dict[str, Members]:
        return {group: self._members(group) for group in groups}

    def _time_ms(self, log: Log, offset: int) -> int:
        produced = _rates(log, self.at_s)[0]
        return int(NOW_MS + self.at_s * 1_000 - (self.ends[log] - offset) / max(0.1, produced) * 1_000)

    def _members(self, group: str) -> Members:
        if group.startswith("renditions"):
            workers = ["media-1"]
        else:
            workers = ["worker-1", "worker-2"] if self.at_s < DIED_S else ["worker-1"]
        owned = [log for log in self.ends if not (self.at_s >= DIED_S and _is_orphan(log))]
        owners = {log: workers[log[1] % len(workers)] for log in owned}
        return Members(ids=frozenset(workers), owners=owners)


class _Offsets:
    """The brokers as the sampler asks them."""

    def __init__(self, brokers: Cluster) -> None:
        self.commits, self.begins = brokers.commits, brokers.begins
        self.ends, self.next_records = brokers.ends_of, brokers.next_records


def _is_orphan(log: Log) -> bool:
    """The partitions of `likes` that nobody takes over."""
    return log[0] == LIKES.name and log[1] % 2 == 1


def _rates(log: Log, at_s: float) -> tuple[float, float]:
    """Return how many records a second are produced and consumed at most."""
    topic, partition = log
    if _is_orphan(log) and at_s >= DIED_S:
        return 12.0 + partition, 0.0
    if topic == FANOUT.name and partition in LOCAL.range_of(FANOUT, Lane.BULK) and at_s >= POSTED_S:
        return (40.0, 16.0) if at_s < POSTED_S + 120 else (4.0, 9.0 + partition % 3)
    if topic == LIKES.name:
        return 9.0 + partition, 60.0 if at_s % 40 > 3 else 0.0
    return 1.5, 40.0


async def overview() -> Json:
    """Return the overview of the monitor at `NOW_MS`."""
    brokers = Cluster(at_s=-60.0 * MINUTES)
    groups = pipeline_groups("", LOCAL, still_s=60, renditions=Settings())
    monitor = _monitor(brokers, groups)
    facts = {group.group: StoredFacts(stops={}, ended={}) for group in groups}
    for _ in range(60 * MINUTES // LOOK_S):
        brokers.go_on(LOOK_S, [log for group in groups for log in group.logs()])
        is_on = brokers.at_s * 1_000 + NOW_MS >= SWITCHED.since_ms
        state = SWITCHED if is_on else replace(SWITCHED, is_on=False, version=2)
        off = SwitchState(switch=Switch.SHEDDING, is_on=False, since_ms=0, measured=0, version=0)
        monitor._stored.set(Stored(facts, {Switch.BREAKER: state, Switch.SHEDDING: off}), brokers.at_s)
        waiting = sum(
            int(brokers.ends[FANOUT.name, number] - brokers.commits_of[FANOUT.name, number])
            for number in LOCAL.range_of(FANOUT, Lane.BULK)
        )
        lanes = {Lane.NORMAL: LaneBacklog(), Lane.BULK: LaneBacklog(980 * waiting, waiting)}
        monitor._lanes.set(lanes, brokers.at_s)
        await monitor.refresh()
    operations = OperationsTail(
        FakeRecords({(OPERATIONS.name, 0): _operations()}), _Bounds(), OPERATIONS.name, 50, lambda: 0.0
    )
    await operations.read()
    freshness = FreshnessLog(lambda: NOW_MS)
    for outcome in [*[Outcome.SEEN] * 358, Outcome.LATE, Outcome.LATE]:
        freshness.add(outcome)
    seen = Overview(
        monitor,
        operations,
        freshness,
        Brokers(probe=_Probe(), stale_s=10, clock_s=monitor.clock_s),
        HottestKeys(_LikesOfOnePhoto()),
    )
    await seen.brokers.read()
    await seen.hottest_keys.read(monitor.report())
    seen.dead_letters = await _dead_letters()
    seen.workers = await _workers(monitor)
    body = seen.json()
    assert body is not None
    return body


def _monitor(brokers: Cluster, groups: Sequence[GroupLogs]) -> LagMonitor:
    def clock_ms() -> int:
        return int(NOW_MS + brokers.at_s * 1_000)

    def clock_s() -> float:
        return brokers.at_s

    return LagMonitor(
        groups=lambda: groups,
        sampler=Sampler(_Offsets(brokers), brokers, clock_ms, clock_s),
        backlog=_NoBacklog(),
        history=LagHistory(step_s=10, columns_max=6 * MINUTES),
        rebalances=RebalanceLog(50),
        interval_s=LOOK_S,
        stale_s=10.0,
        unowned_s=1.5,
        clock_ms=clock_ms,
        clock_s=clock_s,
    )


async def _workers(monitor: LagMonitor) -> Workers:
    """Return what the workers say: one of them has been silent since it died, another started twice."""
    work = {
        "worker-1": [
            GroupWork(group="check", batches=412, p50_ms=8.1, p99_ms=96.0, in_flight=180),
            GroupWork(group="edges", batches=118, p50_ms=14.0, p99_ms=61.5, in_flight=74),
            GroupWork(group="fanout-normal", batches=530, p50_ms=3.2, p99_ms=11.0, in_flight=3),
            GroupWork(group="fanout-bulk", batches=96, p50_ms=240.0, p99_ms=890.0, in_flight=1_200),
        ],
        "worker-2": [GroupWork(group="check", batches=300, p50_ms=7.0, p99_ms=80.0, in_flight=20)],
        "media-1": [
            GroupWork(
                group=f"renditions-{lane}",
                batches=batches,
                p50_ms=p50_ms,
                p99_ms=5 * p50_ms,
                in_flight=2,
                ms_per_megapixel=cost_ms,
            )
            for lane, batches, p50_ms, cost_ms in (("thumbnail", 88, 61.0, 4.1), ("full", 85, 540.0, 61.0))
        ],
    }
    reports = MemoryWorkerReports(monitor.clock_ms)
    for worker, groups in work.items():
        report = WorkerReport(
            worker=worker,
            at_ms=NOW_MS + (DIED_S * 1_000 if worker == "worker-2" else -2_000),
            started_ms=NOW_MS - (540_000 if worker == "media-1" else 86_400_000),
            restarts_ms=(NOW_MS - 900_000, NOW_MS - 540_000) if worker == "media-1" else (),
            loop_delay_ms=38.0 if worker == "worker-1" else 2.4,
            groups=tuple(groups),
        )
        await reports.put(report, life_s=3_600)
    workers = Workers(
        reports=reports, silent_s_max=15, stale_s=15, clock_ms=monitor.clock_ms, clock_s=monitor.clock_s
    )
    await workers.read()
    return workers


async def _dead_letters() -> DeadLettersDepth:
    """Return the depth with letters of three reasons, of which the oldest has waited for nine days."""
    letters = [
        letter(number, topic=topic, reason=reason, failed_ms=NOW_MS - age_s * 1_000 + number)
        for topic, reason, age_s, count in (
            (FOLLOWS, Reason.FROM_THE_FUTURE, 800_000, 31),
            (LIKES, Reason.NOT_JSON, 5_000, 4),
            (UPLOADS, Reason.INVALID_DATA, 900, 2),
        )
        for number in range(count)
    ]
    depth = DeadLettersDepth(
        MemoryLog(letters), MemoryHandledDeadLetters(lambda: NOW_MS), clock_ms=_Ticks(), clock_s=lambda: -15.0
    )
    await depth.read()
    await depth.read()
    return depth


def _operations() -> list[StoredRecord]:
    """Return the topic `operations`: the breaker opened twice, and an operator replayed some likes."""
    states = [
        replace(SWITCHED, since_ms=NOW_MS - 86_400_000, measured=5_104_300, version=1),
        replace(SWITCHED, is_on=False, since_ms=NOW_MS - 86_100_000, measured=98_120, version=2),
        SWITCHED,
    ]
    moves = [
        encode_switch_moved(
            switch=state.switch.value,
            is_on=state.is_on,
            at_ms=state.since_ms,
            measured=state.measured,
            version=state.version,
            sentence=sentence(state),
        )
        for state in states
    ]
    runs = [
        encode_dead_letters_run(
            run="d065537b-9d30-4a3d-b497-79d1e2cc1912",
            action="replay",
            state=state,
            by="user 7",
            at_ms=NOW_MS - 3_600_000 + at_ms,
            selected={"topics": ["likes"], "reasons": ["not_json"]},
            counts=counts,
        )
        for state, at_ms, counts in (
            (RunState.STARTED, 0, {}),
            (RunState.FINISHED, 2_000, {"replayed": 12, "handled_before": 0}),
        )
    ]
    # The last move is announced twice, as it is after a kill.
    values = [moves[0], moves[1], *runs, moves[2], moves[2]]
    return [
        StoredRecord(offset=offset, timestamp_ms=NOW_MS, key=b"k", value=value, headers=())
        for offset, value in enumerate(values)
    ]


class _Bounds:
    """The bounds of the topic `operations`."""

    async def begins(self, partitions: Iterable[Log]) -> dict[Log, int]:
        return dict.fromkeys(partitions, 0)

    async def ends(self, partitions: Iterable[Log]) -> dict[Log, int]:
        return dict.fromkeys(partitions, len(_operations()))


class _Probe:
    """Three brokers, of which the last one does not respond."""

    async def response_times_s(self) -> Mapping[str, float | None]:
        return {"kafka-1:9092": 0.0013, "kafka-2:9092": 0.0021, "kafka-3:9092": None}


class _LikesOfOnePhoto:
    """The records that wait: two of three are of one photo, or of one author."""

    async def read(
        self, topic: str, partition: int, offset: int, *, records_max: int
    ) -> Sequence[StoredRecord]:
        return [
            StoredRecord(
                offset=offset + number,
                timestamp_ms=NOW_MS,
                key=b"%d" % (HOTTEST_KEY if number % 3 else HOTTEST_KEY + number),
                value=b"{}",
                headers=(),
            )
            for number in range(records_max)
        ]


class _NoBacklog:
    """Not asked: the scene sets what it says."""

    committed: Mapping[int, int] = {}

    async def read(self) -> Mapping[Lane, LaneBacklog]:
        return {}


@dataclass(slots=True)
class _Ticks:
    """A clock that goes on by 15 s until now."""

    now_ms: int = NOW_MS - 60_000

    def __call__(self) -> int:
        self.now_ms = min(NOW_MS, self.now_ms + 15_000)
        return self.now_ms
