"""What `OutgoingEdges` promises."""

from collections.abc import Callable
from itertools import permutations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.ids import EPOCH_MS, PhotoId, UserId, compose_id
from streams.core.counted import Membership
from streams.core.edges import EraLikes, FollowingCounts, OutgoingEdge
from streams.core.eras import era_of
from streams.ports.groups import Stores
from tests.contract import limits
from tests.contract.passing_time import PassingTime

NewId = Callable[[], int]
NOW_US = 1_790_000_000_000_000
IN, OUT = Membership(NOW_US, removed=False), Membership(NOW_US, removed=True)
LATER_IN, LATER_OUT = Membership(NOW_US + 1, removed=False), Membership(NOW_US + 1, removed=True)

kinds = pytest.mark.parametrize("kind", OutgoingEdge)
memberships = st.builds(Membership, time_us=st.integers(NOW_US, NOW_US + 3), removed=st.booleans())


class OutgoingEdgesSuite:
    @kinds
    async def test_an_edge_never_written_is_unknown(
        self, stores: Stores, new_id: NewId, kind: OutgoingEdge
    ) -> None:
        """An edge that was never written has no state; its user follows nobody and likes
        nothing."""
        member, owner = UserId(new_id()), new_id()

        assert await stores.outgoing_edges.state(kind, member, owner) is None
        assert await self.owners(stores, kind, member, [owner]) == []

    @kinds
    @pytest.mark.parametrize("order", list(permutations([IN, LATER_OUT])))
    async def test_the_later_removal_wins(
        self, stores: Stores, new_id: NewId, kind: OutgoingEdge, order: tuple[Membership, ...]
    ) -> None:
        """The order of the two writes does not matter."""
        assert await self.last(stores, new_id, kind, order) == (LATER_OUT, False)

    @kinds
    @pytest.mark.parametrize("order", list(permutations([OUT, LATER_IN])))
    async def test_the_later_return_wins(
        self, stores: Stores, new_id: NewId, kind: OutgoingEdge, order: tuple[Membership, ...]
    ) -> None:
        """The order of the two writes does not matter."""
        assert await self.last(stores, new_id, kind, order) == (LATER_IN, True)

    @kinds
    @pytest.mark.parametrize("order", list(permutations([IN, OUT])))
    async def test_at_equal_times_removed_wins(
        self, stores: Stores, new_id: NewId, kind: OutgoingEdge, order: tuple[Membership, ...]
    ) -> None:
        """The order of the two writes does not matter."""
        assert await self.last(stores, new_id, kind, order) == (OUT, False)

    @kinds
    @settings(
        max_examples=20,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.differing_executors],
    )
    @given(states=st.lists(memberships, min_size=1, max_size=6))
    async def test_order_and_repeats_do_not_matter(
        self, stores: Stores, new_id: NewId, kind: OutgoingEdge, states: list[Membership]
    ) -> None:
        """The state is the greatest by time, then by `removed`."""
        greatest = max(states, key=lambda state: (state.time_us, state.removed))

        assert await self.last(stores, new_id, kind, [*states, states[0]]) == (greatest, not greatest.removed)

    @kinds
    async def test_many_edges_are_written_by_one_call(
        self, stores: Stores, new_id: NewId, kind: OutgoingEdge
    ) -> None:
        """The call has more edges than fit into one request, edges of several members, and one edge
        twice. An empty list does nothing."""
        member, other = UserId(new_id()), UserId(new_id())
        owners = [new_id() for _ in range(230)]
        edges = [(member, owner, IN) for owner in owners]
        await stores.outgoing_edges.write_all(
            kind, [*edges, (other, owners[0], IN), (member, owners[1], OUT)]
        )
        await stores.outgoing_edges.write_all(kind, [])

        assert (
            await self.owners(stores, kind, member, owners[:100])
            == [owner for owner in owners if owner != owners[1]][: 99 if kind is OutgoingEdge.LIKES else None]
        )
        assert await self.owners(stores, kind, other, owners[:100]) == [owners[0]]

    @kinds
    async def test_the_two_kinds_are_apart(self, stores: Stores, new_id: NewId, kind: OutgoingEdge) -> None:
        """Liking a photo does not follow a user of the same number."""
        member, owner = UserId(new_id()), new_id()
        await stores.outgoing_edges.write(kind, member, owner, IN)

        for other in set(OutgoingEdge) - {kind}:
            assert await stores.outgoing_edges.state(other, member, owner) is None
            assert await self.owners(stores, other, member, [owner]) == []

    async def test_followees_come_in_order_with_the_time_of_learning(
        self, stores: Stores, new_id: NewId, passing: PassingTime
    ) -> None:
        """Followees are ordered by id, ascending. `seen_ms` is the store's time of the write, not
        the time of the event."""
        member, owners = UserId(new_id()), [new_id() for _ in range(3)]
        before_ms = passing.now_ms()
        for owner in reversed(owners):
            await stores.outgoing_edges.write(OutgoingEdge.FOLLOWING, member, owner, IN)
        following = await stores.outgoing_edges.following(member)

        assert list(following) == owners
        assert all(before_ms <= seen_ms <= passing.now_ms() for seen_ms in following.values())

    async def test_a_new_follow_has_a_new_time(
        self, stores: Stores, new_id: NewId, passing: PassingTime
    ) -> None:
        """After unfollowing and following again, `seen_ms` is the time of the second follow. An
        event that is older than the stored state does not change it."""
        member, owner = UserId(new_id()), new_id()
        await stores.outgoing_edges.write(OutgoingEdge.FOLLOWING, member, owner, IN)
        first_ms = await self.a_moment_later(passing)
        await stores.outgoing_edges.write(OutgoingEdge.FOLLOWING, member, owner, OUT)
        again = Membership(NOW_US + 2, removed=False)
        await stores.outgoing_edges.write(OutgoingEdge.FOLLOWING, member, owner, again)
        learned_ms = (await stores.outgoing_edges.following(member))[UserId(owner)]
        await self.a_moment_later(passing)
        await stores.outgoing_edges.write(OutgoingEdge.FOLLOWING, member, owner, IN)

        assert learned_ms > first_ms
        assert (await stores.outgoing_edges.following(member))[UserId(owner)] == learned_ms

    async def a_moment_later(self, passing: PassingTime) -> int:
        """Let the clock advance; returns the time before."""
        before_ms = passing.now_ms()

        async def moved() -> bool:
            return passing.now_ms() > before_ms

        await passing.until(moved, "the next millisecond")
        return before_ms

    async def test_likes_of_photos_of_all_ages_are_returned(self, stores: Stores, new_id: NewId) -> None:
        """One call finds likes of photos of every year to 2057, and returns only the photos asked
        for."""
        member = UserId(new_id())
        year_ms = 365 * 86_400_000
        photos = [PhotoId(compose_id(EPOCH_MS + year * year_ms, 5, 5)) for year in range(34)]
        await stores.outgoing_edges.write_all(OutgoingEdge.LIKES, [(member, photo, IN) for photo in photos])

        assert await stores.outgoing_edges.liked(member, photos[:-1]) == set(photos[:-1])
        assert await stores.outgoing_edges.liked(member, []) == set()

    async def test_the_newest_likes_of_an_era_say_how_deep_they_are(
        self, stores: Stores, new_id: NewId
    ) -> None:
        """Likes are descending by photo id, with the depth to which the era was read. A removed
        like counts as a row read but is left out. Other eras are not read."""
        member = UserId(new_id())
        photos = [PhotoId(compose_id(EPOCH_MS + hour * 3_600_000, 5, 5)) for hour in range(5)]
        other_era = PhotoId(compose_id(EPOCH_MS + 3 * 365 * 86_400_000, 5, 5))
        edges = [(member, photo, IN) for photo in [*photos, other_era]]
        await stores.outgoing_edges.write_all(OutgoingEdge.LIKES, edges)
        await stores.outgoing_edges.write(OutgoingEdge.LIKES, member, photos[3], LATER_OUT)
        newest = stores.outgoing_edges.newest_likes
        era = era_of(photos[0])

        assert await newest(member, era, 6) == EraLikes([photos[4], photos[2], photos[1], photos[0]], 0)
        assert await newest(member, era, 3) == EraLikes([photos[4], photos[2]], photos[2] - 1)
        assert await newest(member, era_of(other_era), 3) == EraLikes([other_era], 0)
        assert await newest(UserId(new_id()), era, 3) == EraLikes([], 0)

    async def test_followees_are_counted_without_removed_ones(self, stores: Stores, new_id: NewId) -> None:
        """Removed rows are counted by themselves. There are more rows than one call reads."""
        member, owners = UserId(new_id()), sorted(new_id() for _ in range(limits.FOLLOWING_ROWS_A_CALL * 3))
        edges = stores.outgoing_edges
        assert await edges.following_counts(member) == FollowingCounts(0, 0)
        await edges.write_all(OutgoingEdge.FOLLOWING, [(member, owner, IN) for owner in owners])
        assert await edges.following_counts(member) == FollowingCounts(len(owners), 0)
        await edges.write_all(OutgoingEdge.FOLLOWING, [(member, owner, LATER_OUT) for owner in owners[:4]])

        assert await edges.following_counts(member) == FollowingCounts(len(owners) - 4, 4)
        assert list(await edges.following(member)) == owners[4:]

    @kinds
    async def test_a_mark_of_a_removal_is_returned_until_it_expires(
        self, brief_stores: Stores, new_id: NewId, passing: PassingTime, kind: OutgoingEdge
    ) -> None:
        """Each mark belongs to one edge of one kind; a new one replaces it; no mark changes the edge."""
        marks, member, owner = brief_stores.removal_marks, UserId(new_id()), new_id()
        edges = [(member, owner), (UserId(owner), int(member)), (member, owner + 1)]
        assert await marks.times(kind, edges) == [None] * 3
        assert await marks.times(kind, []) == []
        await marks.put(kind, member, owner, NOW_US)
        await marks.put(kind, member, owner, NOW_US + 1)

        assert await marks.times(kind, edges) == [NOW_US + 1, None, None]
        assert [await marks.times(other, edges) for other in set(OutgoingEdge) - {kind}] == [[None] * 3]
        assert await brief_stores.outgoing_edges.state(kind, member, owner) is None

        async def expired() -> bool:
            return await marks.times(kind, edges) == [None] * 3

        await passing.until(expired, "the mark expires")

    @kinds
    async def test_a_removed_edge_vanishes_and_stays_out(
        self, brief_stores: Stores, new_id: NewId, passing: PassingTime, kind: OutgoingEdge
    ) -> None:
        """When the row of an old unfollow or unlike expires, the edge does not come back."""
        member, owner = UserId(new_id()), new_id()
        await brief_stores.outgoing_edges.write(kind, member, owner, IN)
        await brief_stores.outgoing_edges.write(kind, member, owner, LATER_OUT)

        async def forgotten() -> bool:
            return await brief_stores.outgoing_edges.state(kind, member, owner) != LATER_OUT

        await passing.until(forgotten, "a removed edge is cleared away")

        assert await self.owners(brief_stores, kind, member, [owner]) == []
        assert await brief_stores.outgoing_edges.state(kind, member, owner) is None

    async def last(
        self,
        stores: Stores,
        new_id: NewId,
        kind: OutgoingEdge,
        states: tuple[Membership, ...] | list[Membership],
    ) -> tuple[Membership | None, bool]:
        """Return the state after these writes, and whether readers see the edge."""
        member, owner = UserId(new_id()), new_id()
        for state in states:
            await stores.outgoing_edges.write(kind, member, owner, state)
        seen = await self.owners(stores, kind, member, [owner]) == [owner]
        return await stores.outgoing_edges.state(kind, member, owner), seen

    async def owners(self, stores: Stores, kind: OutgoingEdge, member: UserId, asked: list[int]) -> list[int]:
        """Return whom the member follows, or which of the given photos it likes, ascending."""
        if kind is OutgoingEdge.FOLLOWING:
            return list(await stores.outgoing_edges.following(member))
        return sorted(await stores.outgoing_edges.liked(member, [PhotoId(number) for number in asked]))
