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
    position: int | None
    moved_at_s: float
    excused: int = 0


@dataclass(slots=True)
class Progress:
    """The positions of all partitions that this process owns."""

    _states: dict[Place, _State] = field(default_factory=dict)

    def own(self, group: str, places: set[Place]) -> None:
        """These, and no others, are the group's partitions now."""
        for place in [place for place in self._states if place.group == group and place not in places]:
            del self._states[place]
        for place in places:
            self._states.setdefault(place, _State(None, monotonic()))

    def handled(self, place: Place, position: int) -> None:
        """Everything below `position` is done with."""
        state = self._states.get(place)
        if state is not None:
            state.position, state.moved_at_s = position, monotonic()
            POSITION.labels(place.group, place.topic, place.partition).set(position)

    @contextmanager
    def excused(self, place: Place) -> Iterator[None]:
        """Inside, the partition stands still on purpose: it waits for a store, or for an operator."""
        state = self._states.setdefault(place, _State(None, monotonic()))
        state.excused += 1
        try:
            yield
        finally:
            state.excused -= 1
            state.moved_at_s = monotonic()

    def owned(self) -> list[Place]:
        return sorted(self._states)

    def stuck(self, ends: dict[Place, int], still_s_max: float) -> list[Place]:
        """Partitions with records before their end that have not moved for `still_s_max`, unexcused."""
        now = monotonic()
        return [
            place
            for place, state in sorted(self._states.items())
            if not state.excused
            and now - state.moved_at_s > still_s_max
            and ends.get(place, 0) > (state.position or 0)
        ]
