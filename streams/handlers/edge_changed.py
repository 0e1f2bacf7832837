"""A follow, an unfollow, a like or an unlike has happened: write the member's own side, pass it on.

The other side and its count have one writer, `edges_batch.py`, which gets the change
through the topic `edges`. Repeatable: rows carry the event's time, and the later wins.
"""

from schemas.events import Event
from schemas.facts import FollowChange, LikeChange, PhotoUnliked, UserUnfollowed
from schemas.internal import EdgeRecord
from streams.core.counted import Membership
from streams.handlers.publishing import Outbox
from streams.stores.copy_keys import following_key
from streams.stores.edge_kinds import KIND_NUMBERS
from streams.stores.ports import OwnEdge, SetKind, Stores


async def follow_changed(stores: Stores, outbox: Outbox, event: Event, data: FollowChange) -> None:
    """Write `following`, drop its copy, pass the edge on.

    Raises:
        StoreUnavailable: Nothing is known about the writes; handle the event again.
    """
    state = Membership(time_us=event.time_us, removed=isinstance(data, UserUnfollowed))
    await stores.own_edges.write(OwnEdge.FOLLOWING, data.follower_id, data.followee_id, state)
    # Before anything tells the publisher that it is done: a copy of the old set is a ghost.
    await stores.copies.drop([following_key(data.follower_id)])
    await outbox.edges([_record(SetKind.FOLLOWERS, data.follower_id, data.followee_id, state)])


async def like_changed(stores: Stores, outbox: Outbox, event: Event, data: LikeChange) -> None:
    """Write `likes_by_user`, pass the edge on.

    Raises:
        StoreUnavailable: Nothing is known about the writes; handle the event again.
    """
    state = Membership(time_us=event.time_us, removed=isinstance(data, PhotoUnliked))
    await stores.own_edges.write(OwnEdge.LIKES, data.user_id, data.photo_id, state)
    await outbox.edges([_record(SetKind.LIKERS, data.user_id, data.photo_id, state)])


def _record(kind: SetKind, member: int, owner: int, state: Membership) -> EdgeRecord:
    return EdgeRecord(
        kind=KIND_NUMBERS[kind], member=member, owner=owner, time_us=state.time_us, removed=state.removed
    )
