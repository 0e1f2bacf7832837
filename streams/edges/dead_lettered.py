"""Take back a follow or like of the API whose event became a dead letter.

The API writes the caller's row after it has published the event. Nobody else writes the other side, so
without this the edge would stay one-sided.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from schemas.events import Event, EventType
from schemas.facts import FollowChange, LikeChange, PhotoUnliked, UserUnfollowed
from schemas.ids import UserId
from streams.core.edges import OutgoingEdge
from streams.ports.edges import OutgoingEdges
from streams.retrying import API_ROW_WAITS_S, until_true


async def edge_dead_lettered(
    outgoing_edges: OutgoingEdges,
    change: Callable[[Sequence[Event]], Awaitable[None]],
    event: Event,
    *,
    waits_s: Sequence[float] = API_ROW_WAITS_S,
) -> None:
    """Remove on both sides the edge whose row the API wrote with `event`; `change` handles events.

    The removal has the event's own time: at equal times removed wins, and a later change of the edge is
    left alone. A dead-lettered removal is completed thereby. May be repeated. If the row does not have
    the event's time, somebody else claimed to be the API, or the API died before it wrote the row.

    Raises:
        StoreUnavailable: Nothing is known about the writes; call it again.
    """
    edge = _edge(event)

    async def is_written() -> bool:
        row = await outgoing_edges.state(*edge)
        return row is not None and row.time_us >= event.time_us

    await until_true(waits_s, is_retryable=lambda _: False)(is_written)
    row = await outgoing_edges.state(*edge)
    if row is not None and row.time_us == event.time_us:
        await change([_removal(event)])


def _edge(event: Event) -> tuple[OutgoingEdge, UserId, int]:
    if isinstance(event.data, FollowChange):
        return OutgoingEdge.FOLLOWING, event.data.follower_id, event.data.followee_id
    assert isinstance(event.data, LikeChange)
    return OutgoingEdge.LIKES, event.data.user_id, event.data.photo_id


def _removal(event: Event) -> Event:
    if isinstance(event.data, FollowChange):
        unfollow = UserUnfollowed(follower_id=event.data.follower_id, followee_id=event.data.followee_id)
        return replace(event, type=EventType.USER_UNFOLLOWED, data=unfollow)
    assert isinstance(event.data, LikeChange)
    unlike = PhotoUnliked(photo_id=event.data.photo_id, user_id=event.data.user_id)
    return replace(event, type=EventType.PHOTO_UNLIKED, data=unlike)
