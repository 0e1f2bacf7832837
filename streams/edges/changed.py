"""Handle follows, unfollows, likes and unlikes: write the outgoing edges, publish the changes.

The incoming edges and their counts have one writer, `counting.py`, which gets the changes through
the topic `edges`. Every function may be repeated: a row has its event's time, and the later time
wins. A batch of events is written with a few requests, because single writes cost ten times as
much.

The API leaves no row for the removal of an edge of which nothing was stored, only a mark. An added edge
that has a mark of a later time is removed again here.
"""

from collections.abc import Callable, Sequence
from typing import TypeAlias

from schemas.events import Event
from schemas.facts import FollowChange, LikeChange, PhotoUnliked, UserUnfollowed
from schemas.ids import UserId
from schemas.internal import EdgeRecord, SetKind
from streams.clock import unix_ms
from streams.core.counted import Membership
from streams.core.edges import OutgoingEdge
from streams.core.eras import era_of
from streams.ports.cache import Cache
from streams.ports.edges import OutgoingEdges, RemovalMarks
from streams.ports.publishing import Outbox
from streams.stores.cache.following import cache_follows
from streams.stores.cache.keys import likes_key

# Member, owner, and what the event says of the edge.
Edge: TypeAlias = tuple[UserId, int, Membership]


async def follows_changed(
    outgoing_edges: OutgoingEdges,
    removal_marks: RemovalMarks,
    cache: Cache,
    outbox: Outbox,
    events: Sequence[Event],
    *,
    clock_ms: Callable[[], int] = unix_ms,
) -> None:
    """Write `following`, bring its cached values up to date, and publish the changes to `edges`.

    Raises:
        StoreUnavailable: Nothing is known about the writes; handle the events again.
    """
    edges: list[Edge] = [
        (event.data.follower_id, event.data.followee_id, _state(event, UserUnfollowed))
        for event in events
        if isinstance(event.data, FollowChange)
    ]
    await write_follows(outgoing_edges, removal_marks, cache, outbox, edges, clock_ms=clock_ms)


async def write_follows(
    outgoing_edges: OutgoingEdges,
    removal_marks: RemovalMarks,
    cache: Cache,
    outbox: Outbox,
    edges: Sequence[Edge],
    *,
    clock_ms: Callable[[], int] = unix_ms,
) -> None:
    """Do what `follows_changed` does, for edges."""
    edges = await _write(outgoing_edges, removal_marks, OutgoingEdge.FOLLOWING, edges)
    # Before the events are acknowledged: a reader of the old cached set would see ghost photos.
    await cache_follows(cache, edges, seen_ms=clock_ms())
    await outbox.edges([_record(SetKind.FOLLOWERS, *edge) for edge in edges])


async def likes_changed(
    outgoing_edges: OutgoingEdges,
    removal_marks: RemovalMarks,
    cache: Cache,
    outbox: Outbox,
    events: Sequence[Event],
) -> None:
    """Write `likes_by_user`, invalidate its cached values, and publish the changes to `edges`.

    Raises:
        StoreUnavailable: Nothing is known about the writes; handle the events again.
    """
    edges: list[Edge] = [
        (event.data.user_id, event.data.photo_id, _state(event, PhotoUnliked))
        for event in events
        if isinstance(event.data, LikeChange)
    ]
    await write_likes(outgoing_edges, removal_marks, cache, outbox, edges)


async def write_likes(
    outgoing_edges: OutgoingEdges,
    removal_marks: RemovalMarks,
    cache: Cache,
    outbox: Outbox,
    edges: Sequence[Edge],
) -> None:
    """Do what `likes_changed` does, for edges."""
    edges = await _write(outgoing_edges, removal_marks, OutgoingEdge.LIKES, edges)
    await cache.invalidate(list({likes_key(member, era_of(photo)) for member, photo, _ in edges}))
    await outbox.edges([_record(SetKind.LIKERS, *edge) for edge in edges])


async def _write(
    outgoing_edges: OutgoingEdges, removal_marks: RemovalMarks, kind: OutgoingEdge, edges: Sequence[Edge]
) -> list[Edge]:
    """Write the rows; returns the edges, and the removals of those that were marked as removed."""
    await outgoing_edges.write_all(kind, edges)
    # Only now: the API writes its mark and then looks for a row, so at least one sees the other.
    added = [edge for edge in edges if not edge[2].removed]
    times = await removal_marks.times(kind, [(member, owner) for member, owner, _ in added])
    removed = [
        (member, owner, Membership(marked_us, removed=True))
        for (member, owner, state), marked_us in zip(added, times, strict=True)
        if marked_us is not None and marked_us >= state.time_us
    ]
    await outgoing_edges.write_all(kind, removed)
    return [*edges, *removed]


def _state(event: Event, removing: type) -> Membership:
    return Membership(time_us=event.time_us, removed=isinstance(event.data, removing))


def _record(kind: SetKind, member: int, owner: int, state: Membership) -> EdgeRecord:
    return EdgeRecord(kind=kind, member=member, owner=owner, time_us=state.time_us, removed=state.removed)
