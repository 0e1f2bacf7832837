"""What `CountedSets` promises."""

import asyncio
from collections.abc import Callable, Collection, Mapping
from itertools import permutations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.ids import PackedIds, pack_ids, unpack_ids
from schemas.internal import SetKind
from streams.core.counted import Membership
from streams.core.sets import BucketKey, BucketState, BucketWrite, SetSummary, StoredPage
from streams.ports.groups import Stores
from tests.contract.passing_time import PassingTime

NewId = Callable[[], int]
NOW_US = 1_790_000_000_000_000
IN, OUT = Membership(NOW_US, removed=False), Membership(NOW_US, removed=True)
LATER_IN, LATER_OUT = Membership(NOW_US + 1, removed=False), Membership(NOW_US + 1, removed=True)
# The writer of the race below makes so many writes; a torn read shows within the first few.
RACING_WRITES = 150


def first_bucket(new_id: NewId, kind: SetKind = SetKind.FOLLOWERS) -> BucketKey:
    return BucketKey(kind, new_id(), 0, 0)


def writing(
    key: BucketKey,
    rows: Mapping[int, Membership] | None = None,
    *,
    count: int | None = None,
    summary: SetSummary | None = None,
    stamp: int = 1,
    page: Collection[int] | None = None,
) -> BucketWrite:
    packed = None if page is None else PackedIds(pack_ids(page))
    return BucketWrite(key=key, rows=rows or {}, count=count, summary=summary, stamp=stamp, page=packed)


async def head_of(stores: Stores, key: BucketKey) -> SetSummary:
    return (await stores.counted_sets.summaries(key.kind, [key.owner]))[key.owner]


async def live_of(stores: Stores, key: BucketKey) -> int:
    return (await stores.counted_sets.read({key: ()}, totals={}))[key].count


Bucket = tuple[Mapping[int, Membership], int]


async def members_of(stores: Stores, key: BucketKey) -> tuple[int, ...]:
    return unpack_ids((await stores.counted_sets.members([key]))[key])


async def read(stores: Stores, wanted: Mapping[BucketKey, Collection[int]]) -> dict[BucketKey, Bucket]:
    """Return rows and count of each bucket, read without `totals`."""
    states = await stores.counted_sets.read(wanted, totals={})
    return {key: (state.rows, state.count) for key, state in states.items()}


Part = tuple[dict[int, Membership], int, int]

parts_of_one_bucket = st.lists(
    st.tuples(
        st.dictionaries(
            st.integers(1, 3),
            st.builds(Membership, time_us=st.integers(NOW_US, NOW_US + 2), removed=st.booleans()),
        ),
        st.integers(0, 3),
        st.integers(1, 3),
    ),
    min_size=1,
    max_size=5,
)


@st.composite
def arrivals(draw: st.DrawFn) -> list[Part]:
    """Draw rows, count and stamp of some writes, in any order, one of them twice."""
    # Everything is drawn here, because hypothesis cannot stop a draw inside a coroutine.
    parts = draw(parts_of_one_bucket)
    return draw(st.permutations([*parts, parts[0]]))


class CountedSetsSuite:
    @pytest.mark.parametrize("kind", SetKind)
    async def test_an_unknown_set_is_empty(self, stores: Stores, new_id: NewId, kind: SetKind) -> None:
        """Every one of 230 owners gets a summary with level 0 and total 0. A bucket has no rows, no
        count and no members."""
        key = first_bucket(new_id, kind)
        owners = [key.owner, *(new_id() for _ in range(229))]

        assert await stores.counted_sets.summaries(kind, owners) == dict.fromkeys(owners, SetSummary())
        assert await read(stores, {key: [1]}) == {key: ({}, 0)}
        assert (await stores.counted_sets.bucket(key)).rows == {}
        assert await stores.counted_sets.bucket_counts(kind, key.owner, 0) == {}
        assert await members_of(stores, key) == ()
        assert await stores.counted_sets.page(key, after=0, limit=10) == []

    @pytest.mark.parametrize("kind", SetKind)
    async def test_rows_count_and_summary_are_written_together(
        self, stores: Stores, new_id: NewId, kind: SetKind
    ) -> None:
        """One write carries all three, and repeating it changes nothing."""
        key = first_bucket(new_id, kind)
        write = writing(key, {7: IN, 3: IN, 5: OUT}, count=2, summary=SetSummary(level=0, total=2))
        for _ in range(2):
            await stores.counted_sets.write([write])

            assert (await stores.counted_sets.bucket(key)).rows == {3: IN, 5: OUT, 7: IN}
            assert await live_of(stores, key) == 2
            assert await head_of(stores, key) == SetSummary(level=0, total=2)
            assert await stores.counted_sets.bucket_counts(kind, key.owner, 0) == {0: 2}

    @pytest.mark.parametrize("level", [0, 2])
    async def test_stamps_of_count_and_page_are_returned(
        self, stores: Stores, new_id: NewId, level: int
    ) -> None:
        """Each has its own, because a write without a page leaves the page. No count has the stamp 0."""
        key = BucketKey(SetKind.FOLLOWERS, new_id(), level, 0)
        empty = await stores.counted_sets.stored_page(key)
        await stores.counted_sets.write([writing(key, {7: IN}, count=1, page=[7], stamp=5)])
        await stores.counted_sets.write([writing(key, {8: IN}, count=2, stamp=9)])
        stored, state = await stores.counted_sets.stored_page(key), await stores.counted_sets.bucket(key)

        assert empty == StoredPage(0, None, 0)
        assert stored == StoredPage(9, PackedIds(pack_ids([7])), 5)
        assert (state.count, state.stamp, sorted(state.members)) == (2, 9, [7, 8])
        assert (await stores.counted_sets.read({key: [7]}, totals={}))[key].stamp == 9

    async def test_kinds_owners_levels_and_buckets_are_apart(self, stores: Stores, new_id: NewId) -> None:
        """A write to one bucket changes no other bucket, also when one call reads all of them."""
        owner, other = new_id(), new_id()
        keys = [
            BucketKey(kind, set_owner, level, bucket)
            for kind in SetKind
            for set_owner in (owner, other)
            for level, bucket in ((0, 0), (1, 0), (1, 15), (2, 200))
        ]
        await stores.counted_sets.write([writing(key, {at: IN}, count=at) for at, key in enumerate(keys, 1)])
        members = range(1, len(keys) + 1)
        states = await read(stores, dict.fromkeys(keys, members))

        assert states == {key: ({at: IN}, at) for at, key in enumerate(keys, 1)}
        assert await stores.counted_sets.bucket_counts(SetKind.FOLLOWERS, owner, 1) == {0: 2, 15: 3}

    @pytest.mark.parametrize("known", [False, True])
    @pytest.mark.parametrize("asked", [1, 30, 150])
    async def test_a_read_has_the_rows_asked_for(
        self, stores: Stores, new_id: NewId, known: bool, asked: int
    ) -> None:
        """A read returns at least the rows asked for, whether `totals` are known or not. Members
        that have no row are left out."""
        sizes = {first_bucket(new_id): members for members in (0, 3, 40, 130, 40, 130, *[35] * 12)}
        await stores.counted_sets.write(
            [
                writing(key, dict.fromkeys(range(1, members + 1), IN), count=members)
                for key, members in sizes.items()
                if members
            ]
        )
        wanted = {
            key: [*range(max(1, members - asked), members + 1), 1_000] for key, members in sizes.items()
        }
        states = await stores.counted_sets.read(wanted, totals=sizes if known else {})

        assert {key: state.count for key, state in states.items()} == sizes
        for key, members in sizes.items():
            present = {member: IN for member in wanted[key] if member <= members}
            assert present.items() <= states[key].rows.items()
            assert states[key].rows.keys() <= set(range(1, members + 1))
            assert not states[key].is_whole or len(states[key].rows) == members
            assert states[key].is_whole or members > 3

    @pytest.mark.law("L6")
    @pytest.mark.parametrize(("level", "members"), [(0, 1), (0, 60), (1, 1)])
    async def test_a_read_sees_rows_and_count_of_one_moment(
        self, stores: Stores, new_id: NewId, level: int, members: int
    ) -> None:
        """Law: counts are exact. A writer folds changes into what it read. If another write came between the
        read of the rows and the read of the count, members would be counted never or twice."""
        key = BucketKey(SetKind.LIKERS, new_id(), level, 0)
        others = dict.fromkeys(range(2, members + 1), IN)
        await stores.counted_sets.write([writing(key, others, count=members - 1, stamp=0)])
        done = asyncio.Event()
        states: list[BucketState] = []

        async def write() -> None:
            for at in range(RACING_WRITES):
                state = Membership(NOW_US + at, removed=at % 2 == 0)
                size = members - state.removed
                await stores.counted_sets.write([writing(key, {1: state}, count=size, stamp=at + 1)])
            done.set()

        async def read() -> None:
            while not done.is_set():
                states.append((await stores.counted_sets.read({key: [1]}, totals={}))[key])

        await asyncio.gather(write(), *(read() for _ in range(4)))

        torn = [
            state for state in states if 1 in state.rows and state.count != members - state.rows[1].removed
        ]
        assert torn == []

    @pytest.mark.parametrize("order", list(permutations([(1, 9), (2, 4)])))
    async def test_the_count_with_the_later_stamp_wins(
        self, stores: Stores, new_id: NewId, order: tuple[tuple[int, int], ...]
    ) -> None:
        """The write with the later stamp is stored, whichever write arrives first, so a writer that
        is behind changes nothing."""
        key = first_bucket(new_id)
        for stamp, count in order:
            await stores.counted_sets.write(
                [writing(key, count=count, summary=SetSummary(level=0, total=count), stamp=stamp)]
            )

        assert await live_of(stores, key) == 4
        assert await head_of(stores, key) == SetSummary(level=0, total=4)

    @pytest.mark.parametrize(
        "order", list(permutations([SetSummary(level=0, total=5), SetSummary(level=1, total=5)]))
    )
    async def test_at_equal_stamps_the_higher_level_wins(
        self, stores: Stores, new_id: NewId, order: tuple[SetSummary, ...]
    ) -> None:
        """A level is raised with the stamp at which its batch begins. The batch before ended at the
        same stamp, so the two writes have equal stamps."""
        key = first_bucket(new_id)
        for summary in order:
            await stores.counted_sets.write([writing(key, summary=summary)])

        assert await head_of(stores, key) == SetSummary(level=1, total=5)

    async def test_a_write_without_count_or_head_leaves_them(self, stores: Stores, new_id: NewId) -> None:
        """A write changes only the parts that it contains: rows, count or summary."""
        key = first_bucket(new_id)
        await stores.counted_sets.write(
            [writing(key, {1: IN}, count=1, summary=SetSummary(level=0, total=1))]
        )
        await stores.counted_sets.write([writing(key, {2: IN}, stamp=2)])
        await stores.counted_sets.write([writing(key, summary=SetSummary(level=1, total=3), stamp=2)])

        assert (await stores.counted_sets.bucket(key)).rows == {1: IN, 2: IN}
        assert await live_of(stores, key) == 1
        assert await head_of(stores, key) == SetSummary(level=1, total=3)

    @pytest.mark.parametrize(
        ("states", "expected"),
        [
            *((order, LATER_OUT) for order in permutations([IN, LATER_OUT])),
            *((order, LATER_IN) for order in permutations([OUT, LATER_IN])),
            *((order, OUT) for order in permutations([IN, OUT])),
        ],
    )
    async def test_rows_go_by_their_own_time(
        self, stores: Stores, new_id: NewId, states: tuple[Membership, ...], expected: Membership
    ) -> None:
        """Of two states of a member, the later wins in either order; at equal times `removed` wins.
        The stamps of the writes do not matter for rows."""
        key = first_bucket(new_id)
        for stamp, state in zip((2, 1), states, strict=True):
            await stores.counted_sets.write([writing(key, {1: state}, stamp=stamp)])

        assert (await stores.counted_sets.bucket(key)).rows == {1: expected}

    @settings(
        max_examples=20,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.differing_executors],
    )
    @given(parts=arrivals())
    async def test_order_and_repeats_do_not_matter(
        self, stores: Stores, new_id: NewId, parts: list[Part]
    ) -> None:
        """Whatever the order and the number of writes, the greatest value of each part is
        stored."""
        key = first_bucket(new_id)
        for rows, size, stamp in parts:
            await stores.counted_sets.write([writing(key, rows, count=size, stamp=stamp)])
        state = (await stores.counted_sets.read({key: [1, 2, 3]}, totals={}))[key]

        expected: dict[int, Membership] = {}
        for rows, _, _ in parts:
            for member, row in rows.items():
                if row.beats(expected.get(member)):
                    expected[member] = row
        assert state.rows == expected
        assert state.count == max((stamp, size) for _, size, stamp in parts)[1]

    async def test_members_are_those_who_are_in(self, stores: Stores, new_id: NewId) -> None:
        """`members` returns packed ids, ascending. Removed rows are in the bucket but not among the
        members."""
        key = first_bucket(new_id)
        ids = [new_id() for _ in range(4)]
        rows = {ids[3]: IN, ids[0]: IN, ids[2]: OUT, ids[1]: IN}
        await stores.counted_sets.write([writing(key, rows, count=3, summary=SetSummary(level=0, total=3))])

        assert await members_of(stores, key) == (ids[0], ids[1], ids[3])
        assert (await stores.counted_sets.bucket(key)).rows == rows

    @pytest.mark.parametrize("order", list(permutations([(1, (8, 9)), (2, (3, 5, 9))])))
    async def test_a_page_is_read_in_place_of_the_rows(
        self, stores: Stores, new_id: NewId, order: tuple[tuple[int, tuple[int, ...]], ...]
    ) -> None:
        """If a bucket has a page, its members are read from the page. A page is written with the
        count, so the later stamp wins. An empty page is a page."""
        key = BucketKey(SetKind.FOLLOWERS, new_id(), 2, 3)
        for stamp, members in order:
            await stores.counted_sets.write([writing(key, {7: IN}, count=1, stamp=stamp, page=members)])

            assert await members_of(stores, key) == (members if stamp == order[0][0] else (3, 5, 9))
        await stores.counted_sets.write([writing(key, count=0, stamp=4, page=())])

        assert await members_of(stores, key) == ()
        assert (await stores.counted_sets.bucket(key)).rows == {7: IN}

    async def test_without_a_page_the_rows_are_read(self, stores: Stores, new_id: NewId) -> None:
        """Members of a bucket without a page come from its rows, also if the same call reads a
        bucket that has a page."""
        key, other = (BucketKey(SetKind.FOLLOWERS, new_id(), 2, bucket) for bucket in (3, 4))
        await stores.counted_sets.write(
            [writing(key, {7: IN}, count=1), writing(other, {7: IN}, count=1, page=(9,))]
        )

        assert await members_of(stores, key) == (7,)
        assert await members_of(stores, other) == (9,)

    async def test_members_of_many_buckets_are_answered_at_once(self, stores: Stores, new_id: NewId) -> None:
        """One call may name many owners, many levels and buckets of one owner, and buckets that
        were never written."""
        owner = new_id()
        keys = [first_bucket(new_id) for _ in range(120)]
        keys += [BucketKey(SetKind.FOLLOWERS, owner, level, at) for level in (1, 2, 3) for at in range(140)]
        keys += [BucketKey(kind, owner, 1, 5) for kind in (SetKind.LIKERS, SetKind.READY_PHOTOS)]
        members = {key: (at,) if at % 3 else () for at, key in enumerate(keys)}
        writes = [
            writing(
                key,
                dict.fromkeys(some, IN),
                count=len(some),
                page=some if at % 2 and key.kind is SetKind.FOLLOWERS else None,
            )
            for at, (key, some) in enumerate(members.items())
            if some
        ]
        await stores.counted_sets.write(writes)
        found = await stores.counted_sets.members(keys)

        assert {key: unpack_ids(some) for key, some in found.items()} == members
        assert await stores.counted_sets.members([]) == {}

    async def test_pages_cut_the_members_without_gap_or_repeat(self, stores: Stores, new_id: NewId) -> None:
        """Each page is ascending and starts above `after`. A page is full while there are more
        members, however many removed rows are in between."""
        key = first_bucket(new_id)
        rows = {member: OUT if member % 4 else IN for member in range(1, 41)}
        await stores.counted_sets.write([writing(key, rows, count=10)])
        pages, after = [], 0
        while page := await stores.counted_sets.page(key, after=after, limit=3):
            pages.append(page)
            after = page[-1]

        assert pages == [[4, 8, 12], [16, 20, 24], [28, 32, 36], [40]]
        assert await stores.counted_sets.page(key, after=8, limit=100) == [12, 16, 20, 24, 28, 32, 36, 40]

    async def test_a_large_bucket_is_written_whole(self, stores: Stores, new_id: NewId) -> None:
        """The bucket has more rows than the driver fetches in one request."""
        key = BucketKey(SetKind.FOLLOWERS, new_id(), 1, 7)
        rows = dict.fromkeys(range(1, 1201), IN)
        await stores.counted_sets.write([writing(key, rows, count=1_200)])

        assert (await stores.counted_sets.bucket(key)).rows == rows
        assert await members_of(stores, key) == tuple(rows)

    async def test_many_buckets_are_written_by_one_call(self, stores: Stores, new_id: NewId) -> None:
        """The call has more buckets than fit into one request. An empty list of writes does
        nothing."""
        keys = [first_bucket(new_id, SetKind.LIKERS) for _ in range(350)]
        await stores.counted_sets.write(
            [writing(key, {1: IN}, count=1, summary=SetSummary(total=1)) for key in keys]
        )
        await stores.counted_sets.write([])
        owners = [key.owner for key in keys]

        assert await stores.counted_sets.summaries(SetKind.LIKERS, owners) == dict.fromkeys(
            owners, SetSummary(total=1)
        )
        assert await read(stores, {key: [1] for key in keys}) == {key: ({1: IN}, 1) for key in keys}

    async def test_the_counts_of_a_level_are_those_of_its_buckets(
        self, stores: Stores, new_id: NewId
    ) -> None:
        """Buckets without a count are left out; a count of 0 is a count."""
        owner = new_id()
        keys = [BucketKey(SetKind.FOLLOWERS, owner, 2, bucket) for bucket in (0, 1, 127, 128, 255)]
        await stores.counted_sets.write(
            [writing(key, {key.bucket + 1: IN}, count=key.bucket % 2) for key in keys[:-1]]
        )
        await stores.counted_sets.write([writing(keys[-1], {1: IN})])

        assert await stores.counted_sets.bucket_counts(SetKind.FOLLOWERS, owner, 2) == {
            0: 0,
            1: 1,
            127: 1,
            128: 0,
        }

    async def test_removed_rows_are_cleared_away(
        self, brief_stores: Stores, new_id: NewId, passing: PassingTime
    ) -> None:
        """After its TTL a removed row disappears from the bucket. The count and the other rows
        stay."""
        key = first_bucket(new_id)
        await brief_stores.counted_sets.write([writing(key, {1: IN, 2: IN}, count=2)])
        await brief_stores.counted_sets.write([writing(key, {1: LATER_OUT}, count=1, stamp=2)])

        async def cleared() -> bool:
            return 1 not in (await brief_stores.counted_sets.bucket(key)).rows

        await passing.until(cleared, "a removed row is cleared away")

        assert await read(brief_stores, {key: [1, 2]}) == {key: ({2: IN}, 1)}
        assert await brief_stores.counted_sets.page(key, after=0, limit=5) == [2]
        assert await members_of(brief_stores, key) == (2,)
