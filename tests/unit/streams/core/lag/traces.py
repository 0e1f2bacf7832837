"""A topic, a consumer group and a monitor that looks every 2 s, in simulated time."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from streams.core.lag.judge import GroupHistory
from streams.core.lag.report import GroupLag
from streams.core.lag.samples import (
    GroupLogs,
    GroupSample,
    Log,
    Members,
    PartitionSample,
    StoredFacts,
    StoredStop,
    TopicLogs,
)
from streams.core.lag.states import LagState

TOPIC, GROUP, WORKER = "likes", "check", "worker-1"
LOOK_S = 2.0
DAY_S = 86_400.0
NOW_MS = 1_800_000_000_000


@dataclass(slots=True)
class TracedLog:
    """A log: the timestamp of each record from offset 0 on, None for an offset without one."""

    times_ms: list[int | None] = field(default_factory=list)
    start: int = 0
    committed: int | None = None
    is_readable: bool = True

    def next_offset(self) -> int:
        begin = max(self.start, self.committed or 0)
        waiting = (offset for offset in range(begin, len(self.times_ms)) if self.times_ms[offset] is not None)
        return next(waiting, len(self.times_ms))


def _group(partitions: int, retention_s: float, still_s: float) -> GroupLogs:
    topic = TopicLogs(topic=TOPIC, lane=None, partitions=range(partitions), retention_s=retention_s)
    return GroupLogs(group=GROUP, topics=[topic], still_s=still_s)


class Trace:
    """The topic has `partitions`; all are owned by one worker until a test says otherwise."""

    def __init__(self, partitions: int = 1, *, retention_s: float = 7 * DAY_S, still_s: float = 60.0) -> None:
        self.now_s = 0.0
        self.logs = [TracedLog(committed=0) for _ in range(partitions)]
        self.group = _group(partitions, retention_s, still_s)
        self.stops: dict[Log, StoredStop] = {}
        self.ended: dict[Log, tuple[int, int]] = {}
        self.knows_stored = True
        self.members: Members | None = None
        self.join(WORKER)
        self.restart_monitor()

    @property
    def now_ms(self) -> int:
        return NOW_MS + int(self.now_s * 1_000)

    def restart_monitor(self) -> None:
        self.history = GroupHistory(self.group, unowned_s=1.5, pause_s=10.0)

    def join(self, *workers: str, is_rebalancing: bool = False, owned: range | None = None) -> None:
        """The group has these members, of which the first owns all partitions; without any, nobody does."""
        numbers = range(len(self.logs)) if owned is None else owned
        owners: Mapping[Log, str] = {(TOPIC, number): workers[0] for number in numbers} if workers else {}
        self.members = Members(is_rebalancing=is_rebalancing, ids=frozenset(workers), owners=owners)

    def grow(self, partitions: int) -> None:
        """The topic has more partitions, which the members own as well."""
        self.logs += [TracedLog() for _ in range(partitions - len(self.logs))]
        [topic] = self.group.topics
        self.group = _group(partitions, topic.retention_s, self.group.still_s)
        self.history.grow(self.group)
        self.join(WORKER)

    def produce(self, count: int, partition: int = 0, *, time_ms: int | None = None) -> None:
        self.logs[partition].times_ms += [self.now_ms if time_ms is None else time_ms] * count

    def add_gap(self, count: int, partition: int = 0) -> None:
        """Offsets without a record: of an aborted transaction and its marker."""
        self.logs[partition].times_ms += [None] * count

    def consume(self, count: int | None = None, partition: int = 0) -> None:
        """Commit after `count` records, or after the last record that there is."""
        log = self.logs[partition]
        while (count is None or count > 0) and log.next_offset() < len(log.times_ms):
            log.committed = log.next_offset() + 1
            count = None if count is None else count - 1

    def look(self, after_s: float = LOOK_S) -> GroupLag:
        self.now_s += after_s
        partitions = {(TOPIC, number): self._sample(log) for number, log in enumerate(self.logs)}
        sample = GroupSample(partitions=partitions, members=self.members)
        stored = StoredFacts(stops=self.stops, ended=self.ended) if self.knows_stored else None
        return self.history.judge(sample, stored, {}, self.now_s)

    def look_in_vain(self, after_s: float = LOOK_S) -> GroupLag:
        """The broker does not respond."""
        self.now_s += after_s
        return self.history.no_data(self.now_ms, "the brokers do not respond")

    def looks(self, seconds: float) -> list[LagState]:
        """Look for so long while nothing happens; return the states."""
        return [self.look().verdict.state for _ in range(int(seconds / LOOK_S))]

    def _sample(self, log: TracedLog) -> PartitionSample:
        end, following = len(log.times_ms), log.next_offset()
        was_read = log.is_readable and max(log.start, log.committed or 0) < end
        return PartitionSample(
            at_s=self.now_s,
            at_ms=self.now_ms,
            start=log.start,
            end=end,
            committed=log.committed,
            next_offset=following if was_read else None,
            record_ms=log.times_ms[following] if was_read and following < end else None,
        )
