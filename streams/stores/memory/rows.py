"""Rows that are in or out as of an event's time, kept in memory as Cassandra keeps them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from streams.core.counted import Membership


@dataclass(frozen=True, slots=True)
class _Row:
    state: Membership
    gone_ms: float  # From then on nobody sees the row.


class LatestRows:
    """One partition's rows by member: the later time wins, at equal times `removed` does.

    Removed rows vanish after `removed_ttl_ms`. What has vanished still beats older
    writes, as a tombstone does.
    """

    def __init__(self, clock_ms: Callable[[], int], removed_ttl_ms: int) -> None:
        self._clock_ms = clock_ms
        self._removed_ttl_ms = removed_ttl_ms
        self._rows: dict[int, _Row] = {}

    def put(self, member: int, state: Membership) -> None:
        """Write one row; an older one loses."""
        stored = self._rows.get(member)
        # Writing the same removal again prolongs its life, as the later TTL does.
        if stored is None or stored.state == state or state.beats(stored.state):
            gone_ms = self._clock_ms() + self._removed_ttl_ms if state.removed else float("inf")
            self._rows[member] = _Row(state, gone_ms)

    def get(self, member: int) -> Membership | None:
        row = self._rows.get(member)
        return row.state if row is not None and row.gone_ms > self._clock_ms() else None

    def items(self) -> Iterator[tuple[int, Membership]]:
        """Every row that is seen, by member, ascending."""
        for member in sorted(self._rows):
            state = self.get(member)
            if state is not None:
                yield member, state
