"""Edges of the API whose event became a dead letter end the same on both sides."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

import pytest

from schemas.envelope import Record
from schemas.events import Event, EventType, claimed_change, encode_event
from schemas.facts import EventData, PhotoLiked, PhotoUnliked, UserFollowed, UserUnfollowed
from schemas.ids import PhotoId, UserId
from streams.core.counted import Membership
from streams.core.edges import OutgoingEdge
from streams.edges.dead_lettered import edge_dead_lettered
from streams.ports.groups import Stores
from streams.stores.memory.stores import memory_stores
from streams.worker.check import edge_changes
from tests.unit.streams.edges.test_changed import Outbox
from topics.catalogue import FOLLOWS, LIKES

MEMBER, OWNER = UserId(1), 2
TIME_US = 4_070_908_800_000_000  # Far in the future.
OWN = "/own"
ADDED: list[tuple[OutgoingEdge, EventType, EventData]] = [
    (OutgoingEdge.FOLLOWING, EventType.USER_FOLLOWED, UserFollowed(follower_id=MEMBER, followee_id=OWNER)),
    (OutgoingEdge.LIKES, EventType.PHOTO_LIKED, PhotoLiked(user_id=MEMBER, photo_id=PhotoId(OWNER))),
]
CHANGES: list[tuple[OutgoingEdge, EventType, EventData]] = [
    *ADDED,
    (
        OutgoingEdge.FOLLOWING,
        EventType.USER_UNFOLLOWED,
        UserUnfollowed(follower_id=MEMBER, followee_id=OWNER),
    ),
    (OutgoingEdge.LIKES, EventType.PHOTO_UNLIKED, PhotoUnliked(user_id=MEMBER, photo_id=PhotoId(OWNER))),
]


@dataclass(slots=True)
class World:
    stores: Stores = field(default_factory=lambda: memory_stores(clock_ms=lambda: 0))
    outbox: Outbox = field(default_factory=Outbox)

    async def dead_letter(self, event: Event, waits_s: Sequence[float] = (0,)) -> None:
        topic = FOLLOWS if "user" in event.type else LIKES
        change = edge_changes(self.stores, self.outbox)[topic]  # type: ignore[arg-type]  # It has what is used.
        await edge_dead_lettered(self.stores.outgoing_edges, change, event, waits_s=waits_s)

    async def write(self, kind: OutgoingEdge, state: Membership) -> None:
        await self.stores.outgoing_edges.write(kind, MEMBER, OWNER, state)

    async def outgoing(self, kind: OutgoingEdge) -> Membership | None:
        return await self.stores.outgoing_edges.state(kind, MEMBER, OWNER)

    def incoming(self) -> list[Membership]:
        return [Membership(record.time_us, record.removed) for record in self.outbox.published]


@pytest.mark.parametrize(("kind", "event_type", "data"), CHANGES)
async def test_the_edge_is_removed_on_both_sides(
    kind: OutgoingEdge, event_type: EventType, data: EventData
) -> None:
    """Also where the other side still has an older edge; repeating it changes nothing."""
    world, event = World(), Event("1", OWN, event_type, TIME_US, data)
    is_removal = (kind, event_type, data) not in ADDED
    await world.write(kind, Membership(TIME_US, is_removal))
    for _ in range(2):
        await world.dead_letter(event)

    removed = Membership(TIME_US, removed=True)
    assert removed == await world.outgoing(kind)
    assert [removed, removed] == world.incoming()


@pytest.mark.parametrize(("kind", "event_type", "data"), ADDED)
@pytest.mark.parametrize("time_us", [TIME_US - 1, TIME_US + 1])
async def test_an_edge_of_another_time_is_left_alone(
    kind: OutgoingEdge, event_type: EventType, data: EventData, time_us: int
) -> None:
    """A newer one was changed again; an older one means that the API did not write what is claimed."""
    world = World()
    await world.write(kind, Membership(time_us, removed=False))
    await world.dead_letter(Event("1", OWN, event_type, TIME_US, data))

    assert Membership(time_us, removed=False) == await world.outgoing(kind)
    assert [] == world.incoming()


async def test_a_row_that_the_api_writes_after_the_dead_letter_is_removed() -> None:
    """The API publishes first, so the worker may be faster than the API's own write."""
    world = World()
    kind, event_type, data = ADDED[0]
    event = Event("1", OWN, event_type, TIME_US, data)
    edges = world.stores.outgoing_edges
    reads = 0

    class Late:
        async def state(self, *edge: object) -> Membership | None:
            nonlocal reads
            reads += 1
            if reads == 2:
                await world.write(kind, Membership(TIME_US, removed=False))
            return await edges.state(kind, MEMBER, OWNER)

    change: Callable[[Sequence[Event]], Awaitable[None]]
    change = edge_changes(world.stores, world.outbox)[FOLLOWS]  # type: ignore[arg-type]
    await edge_dead_lettered(Late(), change, event, waits_s=(0, 0, 0))  # type: ignore[arg-type]

    assert Membership(TIME_US, removed=True) == await world.outgoing(kind)


@pytest.mark.parametrize(("source", "is_claimed"), [(OWN, True), ("/other", False)])
def test_only_what_has_the_apis_source_is_claimed(source: str, is_claimed: bool) -> None:
    """Nobody else writes a row besides its event."""
    _, event_type, data = ADDED[0]
    key, value, headers = encode_event(event_type, data, id="1", source=source, time_us=TIME_US)
    record = Record("follows", 0, 0, 0, key, value, tuple(headers))

    event = claimed_change("follows", record, OWN)
    assert is_claimed == (event is not None and event.time_us == TIME_US and event.data == data)
    assert claimed_change("follows", Record("follows", 0, 0, 0, key, b"{", tuple(headers)), OWN) is None
