"""How much of `fanout` is not committed yet: deliveries, records, and since when the oldest waits."""

from array import array
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class LaneBacklog:
    """What waits in a lane; `oldest_ms` is when each partition's oldest record was seen, None without one."""

    deliveries: int = 0
    records: int = 0
    oldest_ms: Mapping[int, int | None] = field(default_factory=dict)


@dataclass(slots=True)
class PartitionBacklog:
    """The records of one partition from the commit on: offset, time and deliveries of each.

    It holds 24 bytes a record.
    """

    deliveries: int = 0
    _offsets: "array[int]" = field(default_factory=lambda: array("q"), init=False)
    _times_ms: "array[int]" = field(default_factory=lambda: array("q"), init=False)
    _deliveries: "array[int]" = field(default_factory=lambda: array("q"), init=False)
    _first: int = field(default=0, init=False)
    _committed: int = field(default=0, init=False)

    @property
    def records(self) -> int:
        return len(self._offsets) - self._first

    @property
    def oldest_ms(self) -> int | None:
        return self._times_ms[self._first] if self.records else None

    def add(self, offset: int, time_ms: int, deliveries: int) -> None:
        """Add the next record of the log; those that are committed already do not count."""
        if offset < self._committed or (self.records and offset <= self._offsets[-1]):
            return
        self._offsets.append(offset)
        self._times_ms.append(time_ms)
        self._deliveries.append(deliveries)
        self.deliveries += deliveries

    def commit(self, offset: int) -> None:
        """Remove the records before `offset`, the next one to handle."""
        self._committed = max(self._committed, offset)
        while self.records and self._offsets[self._first] < self._committed:
            self.deliveries -= self._deliveries[self._first]
            self._first += 1
        if 2 * self._first > len(self._offsets):
            for column in (self._offsets, self._times_ms, self._deliveries):
                del column[: self._first]
            self._first = 0


def lane_backlog(partitions: Mapping[int, PartitionBacklog]) -> LaneBacklog:
    """Return what waits in the partitions of one lane."""
    return LaneBacklog(
        deliveries=sum(each.deliveries for each in partitions.values()),
        records=sum(each.records for each in partitions.values()),
        oldest_ms={partition: each.oldest_ms for partition, each in partitions.items()},
    )
