"""The order in which a caller's follow or like is written."""

from collections.abc import Callable
from dataclasses import dataclass

from schemas.facts import EventData
from schemas.ids import UserId
from streams.core.counted import Membership
from streams.core.edges import OutgoingEdge
from streams.ports.edges import OutgoingEdges
from streams.ports.publishing import EventPublisher


@dataclass(frozen=True, slots=True)
class EdgeWriter:
    """Publishes a change of an edge, then writes the caller's own row of it."""

    outgoing_edges: OutgoingEdges
    publisher: EventPublisher
    clock_us: Callable[[], int]

    async def write(
        self, kind: OutgoingEdge, member: UserId, owner: int, *, data: EventData, removed: bool
    ) -> None:
        """Publish `data`, then write the row, so that the member's next request sees the change.

        A change over HTTP gets a later time than the stored row has, whatever the clock says.
        Repeating the call after a failure has the same result. The event is published first, because a
        row whose event was lost would never reach the incoming edges.

        Raises:
            StoreUnavailable: It is unknown whether the change was made; repeat the call.
        """
        row = await self.outgoing_edges.state(kind, member, owner)
        time_us = max(self.clock_us(), row.time_us + 1 if row else 0)
        await self.publisher.publish(data, time_us=time_us)
        await self.outgoing_edges.write(kind, member, owner, Membership(time_us, removed))
