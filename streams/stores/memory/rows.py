"""Membership rows in memory, with the rules of Cassandra's write timestamps and TTLs."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from streams.core.counted import Membership


@dataclass(frozen=True, slots=True)
class _Row:
    state: Membership
    expires_ms: float  # From this time on, reads do not return the row.


class LatestRows:
    """One partition's rows by member. The later time wins; at equal times `removed` wins.

    Removed rows expire after `removed_ttl_ms`. An expired row still wins over older writes, as a
    tombstone does.
    """

    def __init__(self, clock_ms: Callable[[], int], removed_ttl_ms: int) -> None:
        self._clock_ms = clock_ms
        self._removed_ttl_ms = removed_ttl_ms
        self._rows: dict[int, _Row] = {}

    def put(self, member: int, state: Membership) -> None:
        """Write one row, unless the stored one is newer."""
        stored = self._rows.get(member)
        # Writing the same removal again renews its TTL, as in Cassandra.
        if stored is None or stored.state == state or state.beats(stored.state):
            expires_ms = self._clock_ms() + self._removed_ttl_ms if state.removed else float("inf")
            self._rows[member] = _Row(state, expires_ms)

    def get(self, member: int) -> Membership | None:
        row = self._rows.get(member)
        return row.state if row is not None and row.expires_ms > self._clock_ms() else None

    def items(self) -> Iterator[tuple[int, Membership]]:
        """Yield every row that has not expired, by member, ascending."""
        for member in sorted(self._rows):
            state = self.get(member)
            if state is not None:
                yield member, state
