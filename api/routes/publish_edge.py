"""The order in which a follow or a like of the caller's is written."""

from api.context import ApiContext
from schemas.facts import EventData
from schemas.ids import UserId
from streams.core.counted import Membership
from streams.core.edges import OutgoingEdge


async def publish_edge(
    context: ApiContext,
    kind: OutgoingEdge,
    member: UserId,
    owner: int,
    *,
    data: EventData,
    removed: bool,
) -> None:
    """Publish the change, then write the caller's own row, so that their next request sees it.

    What is done over HTTP counts as later than all that is stored of the edge. Done
    again after a failure it leaves the same; the event goes first, because a row whose
    event was lost would never reach the other side.

    Raises:
        StoreUnavailable: It may be done or not; do it again.
    """
    stored = await context.stores.outgoing_edges.state(kind, member, owner)
    time_us = max(context.clock_us(), stored.time_us + 1 if stored else 0)
    await context.publisher.publish(data, time_us=time_us)
    await context.stores.outgoing_edges.write(kind, member, owner, Membership(time_us, removed))
