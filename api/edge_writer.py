"""The order in which a caller's follow or like is written."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from schemas.facts import EventData
from schemas.ids import UserId
from streams.core.counted import Membership
from streams.core.edges import OutgoingEdge
from streams.ports.edges import OutgoingEdges, RemovalMarks
from streams.ports.publishing import EventPublisher


@dataclass(frozen=True, slots=True)
class StoredEdge:
    """What is stored of an edge: its row, and the time of its removal mark in microseconds since 1970."""

    row: Membership | None
    mark_us: int | None

    @property
    def is_added(self) -> bool:
        """Whether there is a row, and the edge is not removed."""
        return self.row is not None and not self.row.removed


@dataclass(frozen=True, slots=True)
class EdgeWriter:
    """Publishes a change of an edge, then writes the caller's own row of it.

    A change over HTTP gets a later time than all that is stored of the edge, whatever the clock says.
    Repeating a call after a failure has the same result. The event is published first, because a row
    whose event was lost would never reach the incoming edges. Every method raises `StoreUnavailable`
    when it is unknown whether the change was made.
    """

    outgoing_edges: OutgoingEdges
    removal_marks: RemovalMarks
    publisher: EventPublisher
    clock_us: Callable[[], int]

    async def stored(self, kind: OutgoingEdge, member: UserId, owner: int) -> StoredEdge:
        """Read what is stored of the edge."""
        row, [mark_us] = await asyncio.gather(
            self.outgoing_edges.state(kind, member, owner), self.removal_marks.times(kind, [(member, owner)])
        )
        return StoredEdge(row, mark_us)

    async def add(
        self, kind: OutgoingEdge, member: UserId, owner: int, data: EventData, stored: StoredEdge
    ) -> int:
        """Publish `data`, then write the row; returns the time of both.

        `stored` was read during the same request.
        """
        time_us = max(self._later_than(stored.row), (stored.mark_us or 0) + 1)
        await self._write(kind, member, owner, data, Membership(time_us, removed=False))
        return time_us

    async def remove(self, kind: OutgoingEdge, member: UserId, owner: int, data: EventData) -> int | None:
        """Publish `data`, then write the row; returns the time of both, or None if there was no edge.

        If nothing is stored of the edge, nothing is published and no row is written. Otherwise a client
        could leave a row of weeks for every id there is. Only a mark tells the handler of an event that
        is still on its way that the edge was removed after it.
        """
        row = await self.outgoing_edges.state(kind, member, owner)
        if row is None:
            await self._mark_removed(kind, member, owner)
            # The handler writes its row and then looks for a mark; this wrote its mark and now looks for a
            # row. So at least one of the two sees the other.
            row = await self.outgoing_edges.state(kind, member, owner)
            if row is None:
                return None
        time_us = self._later_than(row)
        await self._write(kind, member, owner, data, Membership(time_us, removed=True))
        return time_us

    async def take_back(
        self, kind: OutgoingEdge, member: UserId, owner: int, data: EventData, *, time_us: int
    ) -> None:
        """Remove what `add` wrote at this time, and nothing later: at equal times removed wins."""
        await self._write(kind, member, owner, data, Membership(time_us, removed=True))

    async def _write(
        self, kind: OutgoingEdge, member: UserId, owner: int, data: EventData, state: Membership
    ) -> None:
        await self.publisher.publish(data, time_us=state.time_us)
        await self.outgoing_edges.write(kind, member, owner, state)

    async def _mark_removed(self, kind: OutgoingEdge, member: UserId, owner: int) -> None:
        [mark_us] = await self.removal_marks.times(kind, [(member, owner)])
        await self.removal_marks.put(kind, member, owner, max(self.clock_us(), mark_us or 0))

    def _later_than(self, row: Membership | None) -> int:
        return max(self.clock_us(), row.time_us + 1 if row else 0)
