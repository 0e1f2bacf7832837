"""What really happened to one partition and its group, and so what any monitor should say about it.

The producer and the consumers write down each of their calls with the times before and after it. A look at
the broker falls before or after such a call, or during it; then both figures are right.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import inf

from streams.core.lag.states import LagState


@dataclass(slots=True)
class Produced:
    """A record: its own timestamp, and when it was sent and acknowledged. `offset` is known from then on."""

    timestamp_ms: float
    sent_ms: float
    acked_ms: float = inf
    offset: float = inf


@dataclass(slots=True)
class Moved:
    """A commit of the group, or a removal of all records before `offset`, and when it was acknowledged."""

    offset: int
    sent_ms: float
    acked_ms: float = inf


@dataclass(frozen=True, slots=True)
class Figures:
    """What a look found out of a partition; None is unknown."""

    state: LagState
    committed: int | None
    end: int | None
    messages: float | None
    seconds: float | None


@dataclass(frozen=True, slots=True)
class Look:
    """One look of the monitor at the group: when it began and ended, and what it said."""

    began_ms: float
    ended_ms: float
    state: LagState
    reason: str
    partitions: Sequence[Figures]


@dataclass(frozen=True, slots=True)
class Truth:
    """From `since_ms` on this is the state of the group."""

    since_ms: float
    state: LagState


@dataclass(frozen=True, slots=True)
class Bounds:
    """A figure whose exact value at the moment of a look is not known lies between these."""

    low: float
    high: float

    def error(self, figure: float) -> float:
        """Return by how much the figure is outside."""
        return max(self.low - figure, figure - self.high, 0.0)


@dataclass(slots=True)
class PartitionTrace:
    """All calls that touched one partition."""

    records: list[Produced] = field(default_factory=list)
    commits: list[Moved] = field(default_factory=list)
    removals: list[Moved] = field(default_factory=list)

    def messages(self, look: Look) -> Bounds:
        """Return how many records waited during the look."""
        first, last = self._begin(look)
        low = sum(1 for record in self.records if record.acked_ms <= look.began_ms and record.offset >= last)
        high = sum(1 for record in self.records if record.sent_ms <= look.ended_ms and record.offset >= first)
        return Bounds(low, high)

    def seconds(self, look: Look) -> Bounds:
        """Return the age of the record that waited next, by its own timestamp; 0 if none waited."""
        first, last = self._begin(look)
        ages: list[float] = []
        for record in self.records:
            if record.offset < first or record.sent_ms > look.ended_ms:
                continue
            ages += [max(0.0, at_ms - record.timestamp_ms) for at_ms in (look.began_ms, look.ended_ms)]
            if record.offset >= last and record.acked_ms <= look.began_ms:
                return Bounds(min(ages) / 1_000, max(ages) / 1_000)
        return Bounds(0.0, max(ages, default=0.0) / 1_000)  # Perhaps nothing waited.

    def _begin(self, look: Look) -> tuple[int, int]:
        """Return the lowest and the highest offset from which the group had to read during the look."""
        surely = _furthest([*self.commits, *self.removals], lambda move: move.acked_ms <= look.began_ms)
        perhaps = _furthest([*self.commits, *self.removals], lambda move: move.sent_ms <= look.ended_ms)
        return surely, perhaps


def _furthest(moves: Sequence[Moved], is_in: Callable[[Moved], bool]) -> int:
    return max((move.offset for move in moves if is_in(move)), default=0)


@dataclass(slots=True)
class Trace:
    """A scenario as it went: its partitions, its truths in the order of time, and the looks."""

    partitions: list[PartitionTrace]
    truths: list[Truth] = field(default_factory=list)
    looks: list[Look] = field(default_factory=list)

    def is_drained(self) -> bool:
        """Return whether the group has committed all records."""
        return all(
            not partition.records
            or any(
                commit.offset > partition.records[-1].offset and commit.acked_ms < inf
                for commit in partition.commits
            )
            for partition in self.partitions
        )

    def truth_at(self, at_ms: float) -> Truth:
        """Return what was true; the first truth also holds before it was said."""
        known = [truth for truth in self.truths if truth.since_ms <= at_ms]
        return known[-1] if known else self.truths[0]
