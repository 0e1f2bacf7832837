"""How far each partition of this worker has been handled, and whether it may stand still.

The watchdog reads it: a consumer can stop silently after an error of its coordinator.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import monotonic

from streams.metrics import POSITION


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A partition of a group; the topic's name as the broker knows it."""

    group: str
    topic: str
    partition: int


@dataclass(slots=True)
class _State:
    position: int | None = None  # None: nothing has been handled here yet.
    excused: int = 0
    # When the partition was last seen to move, to have nothing to do, or to be excused.
    well_at_s: float = field(default_factory=monotonic)
    seen_position: int | None = None


@dataclass(slots=True)
class Progress:
    """The positions of all partitions that this process owns."""

    _states: dict[Place, _State] = field(default_factory=dict)

    def own(self, group: str, places: set[Place]) -> None:
        """These, and no others, are the group's partitions now."""
        for place in [place for place in self._states if place.group == group and place not in places]:
            del self._states[place]
        for place in places:
            self._states.setdefault(place, _State())

    def handled(self, place: Place, position: int) -> None:
        """Everything below `position` is done with."""
        state = self._states.get(place)
        if state is not None:
            state.position = position
            POSITION.labels(place.group, place.topic, place.partition).set(position)

    @contextmanager
    def excused(self, place: Place) -> Iterator[None]:
        """Inside, the partition stands still on purpose: it waits for a store, or for an operator."""
        state = self._states.setdefault(place, _State())
        state.excused += 1
        try:
            yield
        finally:
            state.excused -= 1

    def begin(self, place: Place, position: int) -> None:
        """Where the group had committed to when nothing has been handled here yet."""
        state = self._states.get(place)
        if state is not None and state.position is None:
            state.position = position

    def unknown(self) -> list[Place]:
        """Partitions of which nothing is known yet."""
        return sorted(place for place, state in self._states.items() if state.position is None)

    def owned(self) -> list[Place]:
        return sorted(self._states)

    def stuck(self, ends: dict[Place, int], still_s_max: float) -> list[Place]:
        """Partitions that had records before their end at every look for `still_s_max`, and did not move.

        Looking is part of the measurement: call it every few seconds.
        """
        now = monotonic()
        found = []
        for place, state in sorted(self._states.items()):
            behind = ends.get(place, 0) > (state.position or 0)
            if state.excused or not behind or state.position != state.seen_position:
                state.seen_position, state.well_at_s = state.position, now
            elif now - state.well_at_s > still_s_max:
                found.append(place)
        return found
