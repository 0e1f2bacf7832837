"""One look at the partitions of a consumer group, as the brokers report them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from topics.catalogue import Lane

# The topic's name on the broker, and the partition.
Log = tuple[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicLogs:
    """The partitions of a topic that one group owns; those of other lanes are not its lag."""

    topic: str
    lane: Lane | None
    partitions: range
    retention_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupLogs:
    """What a consumer group reads. A record of it may take `still_s` until it is committed."""

    group: str
    topics: Sequence[TopicLogs]
    still_s: float

    def logs(self) -> list[Log]:
        """Return every partition that the group owns."""
        return [(topic.topic, partition) for topic in self.topics for partition in topic.partitions]


@dataclass(frozen=True, slots=True, kw_only=True)
class PartitionSample:
    """One partition of one group. `at_s` is monotonic, `at_ms` is the wall clock.

    A consumer can read the offsets from `start` to before `end`, the last stable offset. `next_offset` is
    the first record at or after the commit, `end` where none is left, None where that was not read.
    `record_ms` is the timestamp of that record. Every field is of the same sample.
    """

    at_s: float
    at_ms: int
    start: int
    end: int
    committed: int | None = None
    next_offset: int | None = None
    record_ms: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Members:
    """The members of a group by their ids; the owner of each partition is its client's name."""

    is_rebalancing: bool = False
    ids: frozenset[str] = frozenset()
    owners: Mapping[Log, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupSample:
    """A group at one moment; `members` is None if they are not known."""

    partitions: Mapping[Log, PartitionSample]
    members: Members | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredStop:
    """A partition that stopped at the dead-letter limit, and waits for an operator since `since_ms`."""

    reason: str
    since_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredFacts:
    """What workers stored of the partitions of a group.

    `ended` has an offset, and how often workers ended there because the partition did not move.
    """

    stops: Mapping[Log, StoredStop]
    ended: Mapping[Log, tuple[int, int]]

    def ended_at(self, log: Log, offset: int) -> int:
        """Return how often workers ended at the offset."""
        stored, times = self.ended.get(log, (offset, 0))
        return times if stored == offset else 0
