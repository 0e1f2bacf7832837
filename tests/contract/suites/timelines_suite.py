"""What `Timelines` promises about the stored timelines."""

import asyncio
from collections.abc import Callable, Iterable
from secrets import token_bytes

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.ids import PackedIds, PhotoId, UserId, pack_ids, unpack_ids
from streams.core import ring
from streams.ports.groups import Stores
from streams.ports.timelines import PhotosForOwners
from tests.contract.limits import SLOTS
from tests.contract.passing_time import PassingTime
from tests.contract.ring_model import RingModel

NewId = Callable[[], int]
TOKEN, OTHER_TOKEN = b"rebuild1", b"rebuild2"


def packed(*owners: int) -> PackedIds:
    return PackedIds(pack_ids(owners))


def photos(*ids: int) -> list[PhotoId]:
    return [PhotoId(number) for number in ids]


async def whole(stores: Stores, new_id: NewId, loaded: Iterable[int] = (), floor: int = 0) -> UserId:
    """Return a new owner who has a timeline."""
    owner, token = UserId(new_id()), token_bytes(8)
    assert await stores.timelines.begin_rebuild(owner, token)
    assert await stores.timelines.finish_rebuild(owner, token, photos(*loaded), floor)
    return owner


async def append(stores: Stores, photo_ids: Iterable[int], *owners: int) -> int:
    return await stores.timelines.append([PhotosForOwners(tuple(photos(*photo_ids)), packed(*owners))])


async def ring_of(stores: Stores, owner: UserId) -> ring.Ring:
    value = await stores.timelines.read(owner)
    assert value is not None
    return ring.parse(value)


class TimelinesSuite:
    async def test_a_peek_is_a_read(self, stores: Stores, new_id: NewId) -> None:
        owner = await whole(stores, new_id, [3, 5])

        assert await stores.timelines.peek(owner) == await stores.timelines.read(owner)
        assert await stores.timelines.peek(UserId(new_id())) is None

    async def test_only_timelines_that_exist_are_written(self, stores: Stores, new_id: NewId) -> None:
        """`append` and `insert` return the deliveries to timelines that exist, `merge` whether the
        timeline exists. They never create a timeline."""
        there, not_there = await whole(stores, new_id), UserId(new_id())

        assert await append(stores, [7], not_there, there) == 1
        assert await append(stores, [7]) == 0
        assert await stores.timelines.insert(packed(not_there, there), photos(8)) == 1
        assert await stores.timelines.insert(packed(there), photos(9, 8, 9)) == 2
        assert await stores.timelines.insert(packed(), photos(8)) == 0
        assert await stores.timelines.insert(packed(there), []) == 0
        assert await stores.timelines.merge(there, photos(10))
        assert not await stores.timelines.merge(not_there, photos(10))
        assert await stores.timelines.read(not_there) is None
        assert (await ring_of(stores, there)).ids == {7, 8, 9, 10}

    async def test_existing_names_those_who_have_one(self, stores: Stores, new_id: NewId) -> None:
        """`existing` returns the owners who have a timeline, also one under rebuild. Without owners
        it returns nothing."""
        there, rebuilding, not_there = await whole(stores, new_id), UserId(new_id()), UserId(new_id())
        await stores.timelines.begin_rebuild(rebuilding, TOKEN)
        loaded = await stores.timelines.existing(packed(not_there, there, rebuilding))

        assert set(unpack_ids(loaded)) == {there, rebuilding}
        assert await stores.timelines.existing(packed(not_there)) == b""
        assert await stores.timelines.existing(packed()) == b""

    async def test_many_owners_are_written_by_one_call(self, stores: Stores, new_id: NewId) -> None:
        """Inserts name more owners than fit into one request."""
        owners = [UserId(new_id()) for _ in range(140)]
        for owner in owners[::2]:
            await stores.timelines.begin_rebuild(owner, TOKEN)

        assert await append(stores, [7], *owners) == 70
        assert await stores.timelines.insert(packed(*owners), photos(8, 6)) == 140
        for owner in owners[::2]:
            assert (await ring_of(stores, owner)).ids == {6, 7, 8}

    async def test_photos_of_several_authors_are_appended_by_one_call(
        self, stores: Stores, new_id: NewId
    ) -> None:
        """Each owner gets the photos that are put for them, however many blocks those fill. The call
        returns the number of deliveries."""
        one, both, other, not_there = (UserId(new_id()) for _ in range(4))
        for owner in (one, both, other):
            await stores.timelines.begin_rebuild(owner, TOKEN)
        many = photos(*range(100, 100 + SLOTS - 1))
        puts = [
            PhotosForOwners(tuple(photos(7)), packed(one, both)),
            PhotosForOwners(tuple(many), packed(both, not_there, other)),
        ]

        assert await stores.timelines.append(puts) == 2 + 2 * len(many)
        assert (await ring_of(stores, one)).ids == {7}
        assert (await ring_of(stores, both)).ids == {7, *many}
        assert (await ring_of(stores, other)).ids == {*many}
        assert await stores.timelines.read(not_there) is None

    async def test_repeating_an_append_shows_the_photo_once(self, stores: Stores, new_id: NewId) -> None:
        """The ring may store an id twice; parsing the ring removes the duplicate."""
        owner = await whole(stores, new_id)
        for photo in (7, 8, 7):
            await append(stores, [photo], owner)

        assert (await ring_of(stores, owner)).ids == {7, 8}

    async def test_what_is_overwritten_raises_the_floor(self, stores: Stores, new_id: NewId) -> None:
        """The ring is complete above its floor. Until the ring is full, its floor is the floor of
        the rebuild."""
        owner = await whole(stores, new_id, floor=3)
        for photo in range(10, 10 + SLOTS):
            await append(stores, [photo], owner)

        assert (await ring_of(stores, owner)).floor == 3

        await append(stores, [10 + SLOTS], owner)
        stored = await ring_of(stores, owner)

        assert stored.floor == 9 + ring.BLOCK
        assert stored.ids == set(range(10 + ring.BLOCK, 11 + SLOTS))

    async def test_overwriting_an_older_photo_does_not_sink_the_floor(
        self, stores: Stores, new_id: NewId
    ) -> None:
        """If photos arrive out of order, the overwritten ids may already be below the floor. The
        floor is never lowered."""
        owner = await whole(stores, new_id)
        oldest = [*range(1, ring.BLOCK), 50, *range(20, 20 + ring.BLOCK)]
        for photo in (*oldest, *range(100, 100 + SLOTS)):
            await append(stores, [photo], owner)

        assert (await ring_of(stores, owner)).floor == 50

    async def test_ids_above_2_to_the_53_are_compared_exactly(self, stores: Stores, new_id: NewId) -> None:
        """Lua numbers have 53 bits, so two large ids that differ only in the last bit would be
        equal."""
        top = 2**62 + 2**32
        for low, high in ((top, top + 1), (top - 1, top), (2**63 - 2, 2**63 - 1)):
            owner = await whole(stores, new_id)
            for photo in (low, high, *range(1, SLOTS + 1)):
                await append(stores, [photo], owner)

            assert (await ring_of(stores, owner)).floor == high

    async def test_a_new_photo_overwrites_the_oldest(self, stores: Stores, new_id: NewId) -> None:
        """A rebuild stores the ids in ascending order, whatever the order in which the database
        returned them, so the next append overwrites the block of the smallest ids."""
        loaded = range(10, 10 + SLOTS)
        owner = await whole(stores, new_id, loaded=reversed(loaded))
        await append(stores, [100], owner)
        stored = await ring_of(stores, owner)

        assert stored.ids == {*loaded[ring.BLOCK :], 100}
        assert stored.floor == loaded[ring.BLOCK - 1]

    async def test_late_photos_never_push_out_newer_ones(self, stores: Stores, new_id: NewId) -> None:
        """720 old photos, merged at once or one by one, do not change the ids of a full timeline.
        They only raise the floor."""
        newest = range(1_000, 1_000 + SLOTS)
        owner = await whole(stores, new_id, loaded=newest)
        await stores.timelines.merge(owner, photos(*range(1, 701)))
        for late in range(701, 721):
            await stores.timelines.insert(packed(owner), photos(late))
        stored = await ring_of(stores, owner)

        assert stored.ids == set(newest)
        assert stored.floor == 720

    async def test_an_inserted_photo_takes_its_place_by_id(self, stores: Stores, new_id: NewId) -> None:
        """The newer photos move by one slot. When the first block is full, the oldest block goes; a
        photo that belongs there only raises the floor."""
        loaded = range(10, 10 + 10 * SLOTS, 10)
        owner = await whole(stores, new_id, loaded=loaded)
        assert await stores.timelines.insert(packed(owner), photos(25)) == 1
        raised = await ring_of(stores, owner)
        await stores.timelines.insert(packed(owner), photos(95, 105))
        stored = await ring_of(stores, owner)

        assert raised.ids == set(loaded)
        assert raised.floor == 25
        assert stored.ids == {*loaded[ring.BLOCK :], 95, 105}
        assert stored.floor == loaded[ring.BLOCK - 1]
        assert list(stored.slots[:2]) == list(loaded[-2:])

    async def test_a_late_photo_takes_its_place_by_id(self, stores: Stores, new_id: NewId) -> None:
        """A merged photo is stored in the order of ids and removes the oldest photo. The next
        append overwrites the oldest block of the remaining photos."""
        loaded = range(10, 10 + 10 * SLOTS, 10)
        owner = await whole(stores, new_id, loaded=loaded)
        await stores.timelines.merge(owner, photos(25))
        await append(stores, [1_000], owner)
        stored = await ring_of(stores, owner)

        # The oldest block held 25 and the seven photos from 20 on.
        assert stored.ids == {*loaded[ring.BLOCK :], 1_000}
        assert stored.floor == loaded[ring.BLOCK - 1]

    async def test_nothing_is_merged_below_the_floor(self, stores: Stores, new_id: NewId) -> None:
        """The ring is not complete below its floor, so the feed would show this photo without its
        neighbours."""
        owner = await whole(stores, new_id, floor=100)
        before = await stores.timelines.read(owner)

        assert await stores.timelines.merge(owner, photos(99, 100))
        assert await stores.timelines.insert(packed(owner), photos(99, 100)) == 2
        assert await stores.timelines.read(owner) == before

    async def test_merging_again_changes_nothing(self, stores: Stores, new_id: NewId) -> None:
        """A merge of stored photos does not change one byte, so a concurrent compare-and-swap does
        not fail because of it."""
        owner = await whole(stores, new_id)
        await stores.timelines.merge(owner, photos(7, 8))
        before = await stores.timelines.read(owner)
        await stores.timelines.merge(owner, photos(8, 7))
        await stores.timelines.insert(packed(owner), photos(8, 7))

        assert await stores.timelines.read(owner) == before

    async def test_appends_and_merges_at_once_lose_nothing(self, stores: Stores, new_id: NewId) -> None:
        """Five concurrent calls write five photos, and all five photos are stored."""
        for _ in range(5):
            owner = await whole(stores, new_id)
            await asyncio.gather(
                append(stores, [50], owner),
                stores.timelines.merge(owner, photos(10)),
                append(stores, [51], owner),
                stores.timelines.insert(packed(owner), photos(11)),
                append(stores, [52], owner),
            )

            assert (await ring_of(stores, owner)).ids == {10, 11, 50, 51, 52}

    async def test_forgetting_takes_the_timeline_away(self, stores: Stores, new_id: NewId) -> None:
        """`forget` may be repeated. Afterwards a rebuild of the same owner may begin."""
        owner = await whole(stores, new_id, loaded=(7,))
        await stores.timelines.forget(owner)
        await stores.timelines.forget(owner)

        assert await stores.timelines.read(owner) is None
        assert await stores.timelines.begin_rebuild(owner, TOKEN)

    async def test_forgetting_all_returns_how_many_there_were(self, stores: Stores, new_id: NewId) -> None:
        """`forget_all` counts complete timelines and those under rebuild. Checkpoints are neither
        counted nor removed."""
        await stores.timelines.forget_all()
        owners = [await whole(stores, new_id) for _ in range(3)]
        owners.append(UserId(new_id()))
        await stores.timelines.begin_rebuild(owners[-1], TOKEN)
        partition = new_id()
        await stores.timelines.save_checkpoint(partition, 5, expected=None)

        assert await stores.timelines.forget_all() == 4
        assert [await stores.timelines.read(owner) for owner in owners] == [None] * 4
        assert await stores.timelines.checkpoints([partition]) == {partition: 5}
        assert await stores.timelines.forget_all() == 0

    async def test_a_timeline_that_nobody_reads_expires(
        self, brief_stores: Stores, new_id: NewId, passing: PassingTime
    ) -> None:
        """Appends and merges do not renew its TTL."""
        owner = await whole(brief_stores, new_id)

        async def gone() -> bool:
            await brief_stores.timelines.insert(packed(owner), photos(passing.now_ms()))
            return await append(brief_stores, [7], owner) == 0

        await passing.until(gone, "a timeline that nobody reads goes")

        assert await brief_stores.timelines.read(owner) is None

    async def test_reading_keeps_a_timeline(
        self, brief_stores: Stores, new_id: NewId, passing: PassingTime
    ) -> None:
        """Reads renew the TTL: after three TTLs the timeline still exists if its owner has read it
        regularly."""
        owner = await whole(brief_stores, new_id, loaded=(7,))
        begun_ms = passing.now_ms()

        async def long_after() -> bool:
            assert (await ring_of(brief_stores, owner)).ids == {7}
            return passing.now_ms() > begun_ms + 6_000

        await passing.until(long_after, "three lives have passed")


ids = st.integers(1, 12)
calls = st.lists(
    st.one_of(
        st.tuples(st.just("append"), st.lists(ids, min_size=1, max_size=2 * ring.BLOCK + 1)),
        st.tuples(st.just("merge"), st.lists(ids, max_size=8)),
        st.tuples(st.just("insert"), st.lists(ids, max_size=2 * ring.BLOCK + 1)),
        st.tuples(st.just("begin"), st.sampled_from([TOKEN, OTHER_TOKEN])),
        st.tuples(
            st.just("finish"),
            st.sampled_from([TOKEN, OTHER_TOKEN]),
            st.lists(ids, max_size=8),
            st.integers(0, 9),
        ),
        st.tuples(st.just("forget")),
    ),
    max_size=25,
)


class RingBytesSuite:
    @settings(
        max_examples=60,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.differing_executors],
    )
    @given(steps=calls)
    async def test_every_call_leaves_the_bytes_of_the_model(
        self, stores: Stores, new_id: NewId, steps: list[tuple[object, ...]]
    ) -> None:
        """After every step of a random sequence, the store has the same bytes as the model and
        returned the same result."""
        owner = UserId(new_id())
        model: RingModel | None = None
        for step in steps:
            model = await self.take(stores, owner, model, step)

            assert await stores.timelines.read(owner) == (None if model is None else model.value())

    @settings(
        max_examples=40,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.differing_executors],
    )
    @given(
        loaded=st.integers(0, SLOTS),
        steps=st.lists(st.tuples(st.booleans(), st.integers(1, 10 * SLOTS)), min_size=10, max_size=50),
    )
    async def test_inserts_among_appends_leave_the_bytes_of_the_model(
        self, stores: Stores, new_id: NewId, loaded: int, steps: list[tuple[bool, int]]
    ) -> None:
        """Full rings, too, in which photos arrive in order and late. Some ids differ in their later half
        alone, and none fits a number of Lua."""
        owner, of_step = UserId(new_id()), [2**62 + (number << 30) for number in range(20 * SLOTS)]
        model, newest = RingModel(SLOTS, TOKEN), 5 * SLOTS
        first = of_step[newest - loaded : newest]
        await stores.timelines.begin_rebuild(owner, TOKEN)
        await stores.timelines.finish_rebuild(owner, TOKEN, photos(*first), 0)
        model.finish(first, 0)
        for is_late, number in steps:
            if is_late:
                await stores.timelines.insert(packed(owner), photos(of_step[number]))
                model.insert(of_step[number])
            else:
                newest += 1 + number % 3
                await append(stores, [of_step[newest]], owner)
                model.append(of_step[newest])

        assert await stores.timelines.read(owner) == model.value()

    async def take(
        self, stores: Stores, owner: UserId, model: RingModel | None, step: tuple[object, ...]
    ) -> RingModel | None:
        match step:
            case ("append", list(arrived)):
                expected = 0 if model is None else len(arrived)
                assert await append(stores, arrived, owner) == expected
                for photo in arrived:
                    if model is not None:
                        model.append(photo)
            case ("merge", list(late)):
                assert await stores.timelines.merge(owner, photos(*late)) is (model is not None)
                if model is not None:
                    model.merge(late)
            case ("insert", list(late)):
                expected = 0 if model is None else len(set(late))
                assert await stores.timelines.insert(packed(owner), photos(*late)) == expected
                for photo in sorted(set(late)):
                    if model is not None:
                        model.insert(photo)
            case ("begin", bytes(token)):
                assert await stores.timelines.begin_rebuild(owner, token) is (model is None)
                model = model or RingModel(SLOTS, token)
            case ("finish", bytes(token), list(loaded), int(floor)):
                fits = model is not None and model.token == token
                assert await stores.timelines.finish_rebuild(owner, token, photos(*loaded), floor) is fits
                if model is not None and fits:
                    model.finish(loaded, floor)
            case ("forget",):
                await stores.timelines.forget(owner)
                model = None
        return model
