"""Events that add an edge, and marks of removals over HTTP of edges that had no row."""

from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from schemas.events import Event, EventType
from schemas.facts import PhotoLiked, UserFollowed
from schemas.ids import PhotoId, UserId
from schemas.internal import EdgeRecord
from streams.core.counted import Membership
from streams.core.edges import OutgoingEdge
from streams.edges.changed import follows_changed, likes_changed
from streams.ports.groups import Stores
from streams.stores.memory.stores import memory_stores

MEMBER, OWNER = UserId(1), 2
MARKED_US = 1_000


@dataclass(slots=True)
class Outbox:
    published: list[EdgeRecord] = field(default_factory=list)

    async def edges(self, records: list[EdgeRecord]) -> None:
        self.published += records


async def handle(stores: Stores, kind: OutgoingEdge, time_us: int) -> list[Membership]:
    """Handle an event that adds the edge; returns what was published to `edges`."""
    outbox: Any = Outbox()
    changed: Any
    if kind is OutgoingEdge.FOLLOWING:
        follow = UserFollowed(follower_id=MEMBER, followee_id=UserId(OWNER))
        event = Event("1", "/upstream", EventType.USER_FOLLOWED, time_us, follow)
        changed = follows_changed
    else:
        like = PhotoLiked(user_id=MEMBER, photo_id=PhotoId(OWNER))
        event = Event("1", "/upstream", EventType.PHOTO_LIKED, time_us, like)
        changed = likes_changed
    await changed(stores.outgoing_edges, stores.removal_marks, stores.cache, outbox, [event])
    published = cast(Outbox, outbox).published
    return [Membership(record.time_us, record.removed) for record in published]


@pytest.mark.parametrize("kind", OutgoingEdge)
@pytest.mark.parametrize("time_us", [MARKED_US - 1, MARKED_US])
async def test_an_event_on_its_way_loses_to_a_later_removal(kind: OutgoingEdge, time_us: int) -> None:
    """Law: the later time wins whatever the order; at equal times the removal wins. Both sides of the
    edge are removed."""
    stores = memory_stores(clock_ms=lambda: 0)
    await stores.removal_marks.put(kind, MEMBER, OWNER, MARKED_US)

    published = await handle(stores, kind, time_us)

    removed = Membership(MARKED_US, removed=True)
    assert published == [Membership(time_us, removed=False), removed]
    assert await stores.outgoing_edges.state(kind, MEMBER, OWNER) == removed


@pytest.mark.parametrize("kind", OutgoingEdge)
async def test_a_later_event_wins_over_a_mark(kind: OutgoingEdge) -> None:
    """The mark has no effect."""
    stores = memory_stores(clock_ms=lambda: 0)
    await stores.removal_marks.put(kind, MEMBER, OWNER, MARKED_US)
    added = Membership(MARKED_US + 1, removed=False)

    assert await handle(stores, kind, added.time_us) == [added]
    assert await stores.outgoing_edges.state(kind, MEMBER, OWNER) == added
