"""How far this worker has handled each of its partitions, and which partitions wait on purpose.

The watchdog uses this to find stuck partitions, because a consumer can stop silently after an error
of its group coordinator.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import monotonic

from streams.metrics import POSITION


@dataclass(frozen=True, slots=True, order=True)
class GroupPartition:
    """A partition that a consumer group reads; `topic` is its name on the broker."""

    group: str
    topic: str
    partition: int

    def log_fields(self) -> dict[str, object]:
        """Return the fields of a log line about this partition."""
        return {"group": self.group, "topic": self.topic, "partition": self.partition}


@dataclass(frozen=True, slots=True)
class Layers:
    """Offsets that are not fetched, and those fetched and not committed; None if that is not known."""

    unfetched: int
    in_flight: int | None


@dataclass(slots=True)
class _PartitionState:
    # When the partition was last seen to move, to have no records to read, or to be excused.
    well_at_s: float
    position: int | None = None  # None: nothing handled here yet, commit not known.
    fetched: int | None = None  # None: nothing fetched since it is owned.
    committed: int | None = None
    excuses: int = 0
    seen_position: int | None = None

    @property
    def in_flight(self) -> int | None:
        """The offsets that are fetched and not committed; None if that is not known."""
        if self.fetched is None:
            return 0
        return None if self.committed is None else max(0, self.fetched - self.committed)


@dataclass(slots=True)
class Progress:
    """The positions of all partitions that this process owns; `clock_s` is monotonic."""

    clock_s: Callable[[], float] = monotonic
    _states: dict[GroupPartition, _PartitionState] = field(default_factory=dict, init=False)

    def own(self, group: str, partitions: set[GroupPartition]) -> None:
        """Set all partitions of the group that this process owns; forget its other partitions."""
        lost = [known for known in self._states if known.group == group and known not in partitions]
        for partition in lost:
            del self._states[partition]
        for partition in partitions:
            self._state(partition)

    def handled(self, partition: GroupPartition, position: int) -> None:
        """Record that all offsets below `position` are handled, if the partition is owned."""
        state = self._states.get(partition)
        if state is not None:
            state.position = position
            POSITION.labels(partition.group, partition.topic, partition.partition).set(position)

    def fetched(self, partition: GroupPartition, position: int | None) -> None:
        """Record that all offsets below `position` are fetched, if the partition is owned; None is none."""
        if (state := self._states.get(partition)) is not None:
            state.fetched = position

    def committed(self, partition: GroupPartition, offset: int | None) -> None:
        """Record what the group has committed, if the partition is owned; None if that is not known."""
        if (state := self._states.get(partition)) is not None:
            state.committed = offset

    @contextmanager
    def excused(self, partition: GroupPartition) -> Iterator[None]:
        """Do not report the partition as stuck while the block waits for a store or an operator."""
        state = self._state(partition)
        state.excuses += 1
        try:
            yield
        finally:
            state.excuses -= 1

    def begin(self, partition: GroupPartition, position: int) -> None:
        """Set the committed `position` of a partition, unless its position is known already."""
        state = self._states.get(partition)
        if state is not None and state.position is None:
            state.position = position

    def skipped(self, partition: GroupPartition, position: int) -> None:
        """Move the position to `position`, if no record is below it that is not handled."""
        state = self._states.get(partition)
        if state is not None and state.position is not None and state.position < position:
            self.handled(partition, position)

    def position(self, partition: GroupPartition) -> int | None:
        """Return the partition's position; None if it is not known, or not owned."""
        state = self._states.get(partition)
        return None if state is None else state.position

    def behind(self, ends: Mapping[GroupPartition, int]) -> dict[GroupPartition, int]:
        """Return the known positions that are below the end of their logs."""
        return {
            partition: state.position
            for partition, state in self._states.items()
            if state.position is not None and state.position < ends.get(partition, 0)
        }

    def layers(self, ends: Mapping[GroupPartition, int]) -> dict[GroupPartition, Layers]:
        """Return the layers of the lag of each partition whose position is known."""
        layers = {}
        for partition, state in self._states.items():
            if state.position is None or partition not in ends:
                continue
            # Without a fetch it reads on from its commit; and what is skipped holds no records.
            position = max(state.fetched or 0, state.position)
            layers[partition] = Layers(max(0, ends[partition] - position), state.in_flight)
        return layers

    def in_flight(self) -> dict[str, int | None]:
        """Return the offsets of each group that are fetched and not committed; None if that is not known."""
        in_flight: dict[str, int | None] = {}
        for partition, state in self._states.items():
            known = in_flight.get(partition.group, 0)
            here = state.in_flight
            in_flight[partition.group] = None if known is None or here is None else known + here
        return in_flight

    def unknown(self) -> list[GroupPartition]:
        """Return the owned partitions whose position is not known yet, sorted."""
        return sorted(partition for partition, state in self._states.items() if state.position is None)

    def is_owned(self, partition: GroupPartition) -> bool:
        """Return whether this process owns the partition."""
        return partition in self._states

    def owned(self) -> list[GroupPartition]:
        """Return all owned partitions, sorted."""
        return sorted(self._states)

    def stuck(self, ends: Mapping[GroupPartition, int], still_s_max: float) -> list[GroupPartition]:
        """Return the partitions with unread records that did not move for `still_s_max` seconds.

        `ends` is the end offset of each partition's log. A move is noticed only at the next call,
        so call this every few seconds.
        """
        now_s = self.clock_s()
        stuck = []
        for partition, state in sorted(self._states.items()):
            is_behind = ends.get(partition, 0) > (state.position or 0)
            if state.excuses or not is_behind or state.position != state.seen_position:
                state.seen_position, state.well_at_s = state.position, now_s
            elif now_s - state.well_at_s > still_s_max:
                stuck.append(partition)
        return stuck

    def _state(self, partition: GroupPartition) -> _PartitionState:
        state = self._states.get(partition)
        if state is None:
            state = self._states[partition] = _PartitionState(self.clock_s())
        return state
