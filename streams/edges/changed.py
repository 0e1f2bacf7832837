"""Handle follows, unfollows, likes and unlikes: write the outgoing edges, publish the changes.

The incoming edges and their counts have one writer, `counting.py`, which gets the changes through
the topic `edges`. Every function may be repeated: a row has its event's time, and the later time
wins. A batch of events is written with a few requests, because single writes cost ten times as
much.
"""

from collections.abc import Sequence

from schemas.events import Event
from schemas.facts import FollowChange, LikeChange, PhotoUnliked, UserUnfollowed
from schemas.internal import EdgeRecord, SetKind
from streams.core.counted import Membership
from streams.core.edges import OutgoingEdge
from streams.core.eras import era_of
from streams.ports.cache import Cache
from streams.ports.edges import OutgoingEdges
from streams.ports.publishing import Outbox
from streams.stores.cache.keys import following_key, likes_key


async def follows_changed(
    outgoing_edges: OutgoingEdges, cache: Cache, outbox: Outbox, events: Sequence[Event]
) -> None:
    """Write `following`, invalidate its cached values, and publish the changes to `edges`.

    Raises:
        StoreUnavailable: Nothing is known about the writes; handle the events again.
    """
    edges = [
        (event.data.follower_id, event.data.followee_id, _state(event, UserUnfollowed))
        for event in events
        if isinstance(event.data, FollowChange)
    ]
    await outgoing_edges.write_all(OutgoingEdge.FOLLOWING, edges)
    # Before the events are acknowledged: a reader of the old cached set would see ghost photos.
    await cache.invalidate(list({following_key(follower) for follower, _, _ in edges}))
    await outbox.edges([_record(SetKind.FOLLOWERS, *edge) for edge in edges])


async def likes_changed(
    outgoing_edges: OutgoingEdges, cache: Cache, outbox: Outbox, events: Sequence[Event]
) -> None:
    """Write `likes_by_user`, invalidate its cached values, and publish the changes to `edges`.

    Raises:
        StoreUnavailable: Nothing is known about the writes; handle the events again.
    """
    edges = [
        (event.data.user_id, event.data.photo_id, _state(event, PhotoUnliked))
        for event in events
        if isinstance(event.data, LikeChange)
    ]
    await outgoing_edges.write_all(OutgoingEdge.LIKES, edges)
    await cache.invalidate(list({likes_key(member, era_of(photo)) for member, photo, _ in edges}))
    await outbox.edges([_record(SetKind.LIKERS, *edge) for edge in edges])


def _state(event: Event, removing: type) -> Membership:
    return Membership(time_us=event.time_us, removed=isinstance(event.data, removing))


def _record(kind: SetKind, member: int, owner: int, state: Membership) -> EdgeRecord:
    return EdgeRecord(kind=kind, member=member, owner=owner, time_us=state.time_us, removed=state.removed)
