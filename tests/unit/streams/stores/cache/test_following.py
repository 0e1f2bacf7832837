"""The cached copy of whom a user follows: whatever is appended and when, it equals the rows or is gone."""

from collections.abc import Sequence
from enum import Enum, auto
from typing import Any
from unittest.mock import AsyncMock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.events import Event, EventType
from schemas.facts import UserFollowed
from schemas.ids import ID_MAX, UserId
from streams.core.counted import Membership
from streams.core.edges import FollowingRows, OutgoingEdge
from streams.edges.changed import follows_changed
from streams.stores.cache.following import cache_follows, decode_following, encode_following
from streams.stores.cache.keys import following_key
from streams.stores.memory.stores import memory_stores

USER = UserId(1)
KEY = following_key(USER)
TTL_S = 3_600
REMOVED_TTL_S = 1

# Few followees and times, so that changes collide: of one edge, at one time, and with those of the base.
STATES = st.tuples(st.integers(2, 5), st.builds(Membership, st.integers(1, 6), removed=st.booleans()))
State = tuple[int, Membership]


class _Step(Enum):
    CHANGE = auto()
    DIE = auto()
    REPEAT = auto()
    LOAD = auto()


class _World:
    """One user's rows and their cached copy. Each step takes a millisecond."""

    def __init__(self) -> None:
        self.now_ms = 0
        self.stores = memory_stores(clock_ms=lambda: self.now_ms, removed_edge_ttl_s=REMOVED_TTL_S)

    async def write(self, states: Sequence[State]) -> None:
        self.now_ms += 1
        edges = [(USER, followee, state) for followee, state in states]
        await self.stores.outgoing_edges.write_all(OutgoingEdge.FOLLOWING, edges)

    async def append(self, states: Sequence[State]) -> None:
        edges = [(USER, followee, state) for followee, state in states]
        await cache_follows(self.stores.cache, edges, seen_ms=self.now_ms)

    async def load(self) -> None:
        token = await self.stores.cache.lease([KEY])
        rows = await self.stores.outgoing_edges.following_rows(USER)
        await self.stores.cache.fill(token, {KEY: encode_following(rows)}, TTL_S)

    async def cached(self) -> list[tuple[UserId, int]] | None:
        [value] = await self.stores.cache.get([KEY])
        return None if value is None else list(decode_following(value).following.items())

    async def stored(self) -> list[tuple[UserId, int]]:
        return list((await self.stores.outgoing_edges.following(USER)).items())


@given(
    st.dictionaries(st.integers(1, ID_MAX).map(UserId), st.integers(0, 2**63), max_size=20),
    st.integers(0, 2**62),
)
def test_following_sets_survive_their_bytes(following: dict[UserId, int], newest_us: int) -> None:
    """Decoding returns the same users in the same order, and the time of the newest row."""
    decoded = decode_following(encode_following(FollowingRows(following, newest_us)))

    assert (list(decoded.following.items()), decoded.newest_us) == (list(following.items()), newest_us)


@pytest.mark.law("L2")
@given(base=st.lists(STATES), batches=st.lists(st.lists(STATES, max_size=3), max_size=6))
async def test_a_copy_equals_the_rows_or_is_gone(base: list[State], batches: list[list[State]]) -> None:
    """Law: no ghost. Changes come in any order, at equal times, late and repeated."""
    world = _World()
    await world.write(base)
    await world.load()
    for batch in batches:
        await world.write(batch)
        await world.append(batch)

        assert await world.cached() in (None, await world.stored())


@pytest.mark.law("L2")
@given(st.lists(st.tuples(st.sampled_from(_Step), st.lists(STATES, min_size=1, max_size=3), st.booleans())))
async def test_a_copy_equals_the_rows_while_writers_die_and_repeat(
    steps: list[tuple[_Step, list[State], bool]],
) -> None:
    """Law: no ghost. Writers stop after they wrote rows, and others append before they repeat it all;
    readers load in between. Whenever every change has been appended, the copy equals the rows or is gone."""
    world = _World()
    unfinished: list[list[State]] = []
    for step, batch, oldest in steps:
        match step:
            case _Step.CHANGE:
                await world.write(batch)
                await world.append(batch)
            case _Step.DIE:
                await world.write(batch)
                unfinished.append(batch)
            case _Step.REPEAT if unfinished:
                repeated = unfinished.pop(0 if oldest else -1)
                await world.write(repeated)
                await world.append(repeated)
            case _:
                await world.load()
        if not unfinished:
            assert await world.cached() in (None, await world.stored())


async def test_a_change_and_its_repetition_keep_the_copy() -> None:
    """The API appends its change and a worker repeats it, a moment later. Nothing is loaded again."""
    world = _World()
    await world.write([(2, Membership(5, removed=False)), (4, Membership(6, removed=False))])
    await world.load()
    for change in [(3, Membership(7, removed=False)), (2, Membership(8, removed=True))]:
        for _ in range(2):
            await world.write([change])
            await world.append([change])

    assert [(3, 3), (4, 1)] == await world.stored() == await world.cached()


@pytest.mark.law("L2")
@pytest.mark.parametrize("other_us", [15, 20, 30])
@pytest.mark.parametrize("late_us", [10, 20])
async def test_a_late_event_does_not_bring_an_unfollowed_user_back(other_us: int, late_us: int) -> None:
    """Law: no ghost. The user unfollowed at 20, then a page cached the followees. Only now a worker handles
    an earlier follow, or one of the same time. Another followee's row may be the newest."""
    world, late = _World(), UserFollowed(follower_id=USER, followee_id=UserId(2))
    await world.write([(2, Membership(20, removed=True)), (3, Membership(other_us, removed=False))])
    await world.load()
    ports = (world.stores.outgoing_edges, world.stores.removal_marks, world.stores.cache)
    outbox: Any = AsyncMock()
    event = Event("1", "/upstream", EventType.USER_FOLLOWED, late_us, late)
    await follows_changed(*ports, outbox, [event], clock_ms=lambda: world.now_ms)

    assert [UserId(3)] == [followee for followee, _ in await world.stored()]
    assert await world.cached() in (None, await world.stored())


@pytest.mark.law("L2")
async def test_an_expired_row_still_counts() -> None:
    """Law: no ghost. The row of the unfollow has expired, and the database still lets it win over what is
    older, so the copy must not take that."""
    world = _World()
    await world.write([(2, Membership(900, removed=True))])
    world.now_ms += REMOVED_TTL_S * 1_000
    await world.load()
    follow = [(2, Membership(800, removed=False))]
    await world.write(follow)
    await world.append(follow)

    assert await world.stored() == []
    assert await world.cached() in (None, [])
