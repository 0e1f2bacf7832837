"""Follows, unfollows, likes and unlikes have happened: write the members' own side, pass them on.

The other side and its count have one writer, `edges_batch.py`, which gets the changes
through the topic `edges`. Repeatable: rows carry the event's time, and the later wins. A
batch of events is a few requests, because single writes cost ten times as much.
"""

from collections.abc import Sequence

from schemas.events import Event
from schemas.facts import FollowChange, LikeChange, PhotoUnliked, UserUnfollowed
from schemas.internal import EdgeRecord, SetKind
from streams.core.counted import Membership
from streams.core.edges import OutgoingEdge
from streams.core.eras import era_of
from streams.ports.groups import EdgeStores
from streams.ports.publishing import Outbox
from streams.stores.cache.keys import following_key, likes_key


async def follows_changed(stores: EdgeStores, outbox: Outbox, events: Sequence[Event]) -> None:
    """Write `following`, drop its copies, pass the edges on.

    Raises:
        StoreUnavailable: Nothing is known about the writes; handle the events again.
    """
    edges = [
        (each.data.follower_id, each.data.followee_id, _state(each, UserUnfollowed))
        for each in events
        if isinstance(each.data, FollowChange)
    ]
    await stores.outgoing_edges.write_all(OutgoingEdge.FOLLOWING, edges)
    # Before anything tells the publishers that it is done: a copy of an old set is a ghost.
    await stores.cache.invalidate([following_key(member) for member in {member for member, _, _ in edges}])
    await outbox.edges([_record(SetKind.FOLLOWERS, *edge) for edge in edges])


async def likes_changed(stores: EdgeStores, outbox: Outbox, events: Sequence[Event]) -> None:
    """Write `likes_by_user`, drop its copies, pass the edges on.

    Raises:
        StoreUnavailable: Nothing is known about the writes; handle the events again.
    """
    edges = [
        (each.data.user_id, each.data.photo_id, _state(each, PhotoUnliked))
        for each in events
        if isinstance(each.data, LikeChange)
    ]
    await stores.outgoing_edges.write_all(OutgoingEdge.LIKES, edges)
    await stores.cache.invalidate(list({likes_key(member, era_of(photo)) for member, photo, _ in edges}))
    await outbox.edges([_record(SetKind.LIKERS, *edge) for edge in edges])


def _state(event: Event, removing: type) -> Membership:
    return Membership(time_us=event.time_us, removed=isinstance(event.data, removing))


def _record(kind: SetKind, member: int, owner: int, state: Membership) -> EdgeRecord:
    return EdgeRecord(kind=kind, member=member, owner=owner, time_us=state.time_us, removed=state.removed)
