"""Follows, likes and deletes over HTTP whose process dies, or whose store fails, at any one call.

Once the events that were published are handled, both sides of an edge say the same, and a reader sees what is
stored. If the client repeats the request, that is what it asked for.
"""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from api.auth.tokens import Caller
from api.edge_writer import EdgeWriter
from api.follow_writer import FollowWriter
from api.routes.likes import delete_like, put_like
from api.routes.photos import delete_photo
from api.services import LikeService
from schemas.events import Event
from schemas.facts import EventData, PhotoDeleted, UserFollowed, UserUnfollowed
from schemas.ids import unpack_ids
from schemas.internal import EdgeRecord, SetKind
from streams.core.edges import OutgoingEdge
from streams.core.limits.follow_limit import FollowLimit
from streams.core.sets import BucketKey
from streams.edges.changed import follows_changed, likes_changed
from streams.errors import StoreUnavailable
from streams.photos.deleted import photo_deleted
from streams.ports.groups import Stores
from streams.stores.cache.large_reads import OneAtATime
from tests.simulation.repeats.setup import followed, given, in_set, liked, original, ready, writer
from tests.simulation.repeats.world import AUTHOR, PHOTO, READER, WAIT_S, World, nothing, reads_of
from tests.worlds.flaky_stores import FlakyStores, KillAt, Killed, failing_at
from topics.routing import route_of

CALLS_MAX = 100


@dataclass(slots=True)
class Events:
    """A fake publisher: the events in their order."""

    published: list[tuple[EventData, int]] = field(default_factory=list)

    async def publish(self, event_data: EventData, *, time_us: int) -> None:
        self.published.append((event_data, time_us))

    async def ping(self) -> None:
        pass


@dataclass(frozen=True, slots=True)
class Api:
    """One API process."""

    stores: Stores
    events: Any
    world: World

    def clock_us(self) -> int:
        return self.world.now_ms * 1_000

    @property
    def edges(self) -> EdgeWriter:
        return EdgeWriter(self.stores.outgoing_edges, self.stores.removal_marks, self.events, self.clock_us)

    @property
    def follows(self) -> FollowWriter:
        return FollowWriter(
            edges=self.edges,
            reads=reads_of(self.stores, self.stores.cache),
            cache=self.stores.cache,
            limit=FollowLimit(followees_max=9, removed_rows_max=9, verified_followees=9),
            turns=OneAtATime(WAIT_S),
            clock_s=lambda: self.clock_us() / 1_000_000,
        )

    @property
    def likes(self) -> LikeService:
        reads = reads_of(self.stores, self.stores.cache)
        return LikeService(reads=reads, edges=self.edges, cache=self.stores.cache)


async def follow(api: Api) -> None:
    await api.follows.follow(READER, AUTHOR)


async def unfollow(api: Api) -> None:
    await api.follows.unfollow(READER, AUTHOR)


async def like(api: Api) -> None:
    await put_like(api.likes, Caller(READER, frozenset()), PHOTO)


async def unlike(api: Api) -> None:
    await delete_like(api.likes, Caller(READER, frozenset()), PHOTO)


async def delete(api: Api) -> None:
    async def is_withdrawn(*_: object) -> bool:
        return False  # It is no upload that is under way.

    photos: Any = SimpleNamespace(stores=api.stores, publisher=api.events, clock_us=api.clock_us)
    uploads: Any = SimpleNamespace(intake=SimpleNamespace(withdraw=is_withdrawn))
    await delete_photo(photos, uploads, Caller(AUTHOR, frozenset()), PHOTO)


async def handle(world: World, events: Events) -> None:
    """Handle the events, and count the edges that they change."""
    process = world.process()
    stores = process.stores
    edge_ports = (stores.outgoing_edges, stores.removal_marks, stores.cache, process.outbox)
    for data, time_us in events.published:
        match data:
            case PhotoDeleted():
                await photo_deleted(stores, process.outbox, data)
            case UserFollowed() | UserUnfollowed():
                event = Event("1", "/api", route_of(data).event_type, time_us, data)
                await follows_changed(*edge_ports, [event], clock_ms=lambda: world.now_ms)
            case _:
                await likes_changed(
                    *edge_ports, [Event("1", "/api", route_of(data).event_type, time_us, data)]
                )
    edges = [record for record in world.published.records if isinstance(record, EdgeRecord)]
    await writer(process, members_max=1_000).apply(edges, 10, 10 + len(edges))


async def sides(world: World) -> list[tuple[bool, bool]]:
    """Return whether each side says that the reader follows the author, and likes the photo."""
    found = []
    for kind, incoming, owner in (
        (OutgoingEdge.FOLLOWING, SetKind.FOLLOWERS, AUTHOR),
        (OutgoingEdge.LIKES, SetKind.LIKERS, PHOTO),
    ):
        state = await world.real.outgoing_edges.state(kind, READER, owner)
        [members] = (await world.real.counted_sets.members([BucketKey(incoming, owner, 0, 0)])).values()
        found.append((state is not None and not state.removed, READER in unpack_ids(members)))
    return found


async def liked_on_both_sides(world: World) -> None:
    await ready(world)
    await liked(world)
    await writer(world.process(), members_max=1_000).apply([in_set(SetKind.LIKERS, READER, PHOTO)], 2, 3)


NONE, FOLLOWS, LIKES = [(False, False)] * 2, [(True, True), (False, False)], [(False, False), (True, True)]


@pytest.mark.law("L2")
@pytest.mark.parametrize("is_repeated", [False, True], ids=["once", "repeated"])
@pytest.mark.parametrize("is_killed", [False, True], ids=["failed", "killed"])
@pytest.mark.parametrize("done", [False, True], ids=["before", "after"])
@pytest.mark.parametrize(
    ("request_of", "before", "wanted"),
    [
        pytest.param(follow, nothing, FOLLOWS, id="follow"),
        pytest.param(follow, followed, FOLLOWS, id="follow again"),
        pytest.param(unfollow, followed, NONE, id="unfollow"),
        pytest.param(unfollow, nothing, NONE, id="unfollow nobody"),
        pytest.param(like, ready, LIKES, id="like"),
        pytest.param(unlike, liked_on_both_sides, NONE, id="unlike"),
        pytest.param(delete, given(original, ready), NONE, id="delete"),
    ],
)
async def test_a_request_may_end_at_any_call(
    request_of: Callable[[Api], Awaitable[None]],
    before: Callable[[World], Awaitable[None]],
    wanted: list[tuple[bool, bool]],
    done: bool,
    is_killed: bool,
    is_repeated: bool,
) -> None:
    for number in range(CALLS_MAX):
        world, events = World(), Events()
        await before(world)
        await world.seen()
        flaky = FlakyStores(world.real, KillAt(number, done) if is_killed else failing_at(number, done=done))
        with suppress(Killed, StoreUnavailable):
            await request_of(Api(flaky.stores, flaky.around("kafka", events), world))
        if len(flaky.moments) <= 2 * number:
            assert number > 3
            return
        await world.seen()
        if is_repeated:
            await request_of(Api(world.real, events, world))
            # The caller's next request sees it, before its event is handled.
            assert await world.truth() == await world.seen(), number
        await handle(world, events)

        assert await world.truth() == await world.seen(), number
        if is_repeated:
            assert wanted == await sides(world), number
        assert all(outgoing == incoming for outgoing, incoming in await sides(world)), number
        if is_repeated and request_of is delete:
            assert (await world.real.photos.get([PHOTO]))[PHOTO].deleted, number
    raise AssertionError(f"still calls after {CALLS_MAX}")
