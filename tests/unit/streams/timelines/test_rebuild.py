"""Rebuilds of timelines, and `newest_of`, by which they read the newest photos of many authors."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.traffic.waiting import eventually
from schemas.ids import PackedIds, PhotoId, UserId, pack_ids
from streams.core import ring
from streams.core.feed import Source
from streams.core.photos import AuthorPhoto
from streams.errors import StoreUnavailable
from streams.ports.timelines import PhotosForOwners
from streams.stores.cache.database_reads import TooManyReads
from streams.stores.memory.photos import MemoryAuthorPhotos
from streams.timelines.newest import newest_of
from streams.timelines.rebuild import Rebuilder, RebuildOutcome
from tests.worlds.api import World, make_world

OWNER = UserId(1)
WAIT_S = 60  # Real time: a rebuild that should end in time does so on a busy machine, too.


@given(
    st.dictionaries(st.integers(1, 60), st.tuples(st.integers(1, 4), st.booleans()), max_size=60),
    st.integers(1, 61),
    st.integers(1, 12),
    st.one_of(st.none(), st.integers(1, 4)),
    st.dictionaries(st.integers(1, 4), st.integers(1, 9)),
)
@settings(deadline=None)
def test_the_newest_are_exact(
    photos: dict[int, tuple[int, bool]],
    below: int,
    count: int,
    unready_of: int | None,
    known_max: dict[int, int],
) -> None:
    """The result equals that of reading all photos, and no photo above its floor is missing. It is the same
    if the newest photos of some authors are known, up to so many each."""

    async def run() -> Source:
        store = MemoryAuthorPhotos()
        for photo, (author, ready) in photos.items():
            await store.add([(PhotoId(photo), UserId(author))], ready=ready)
        authors = [UserId(author) for author in (1, 2, 3, 4, 1)]
        reader = None if unready_of is None else UserId(unready_of)
        known = {
            UserId(author): _known(
                await store.newest([UserId(author)], below=below, each_max=each), each, reader
            )
            for author, each in known_max.items()
        }
        with pytest.MonkeyPatch.context() as patch:
            # Limits so small that most examples need several rounds and calls.
            patch.setattr("streams.timelines.newest.EACH_MIN", 1)
            patch.setattr("streams.timelines.newest.AUTHORS_A_CALL", 2)
            return await newest_of(store, authors, below=below, count=count, unready_of=reader, known=known)

    found = asyncio.run(run())

    counted = [photo for photo, (author, ready) in photos.items() if ready or author == unready_of]
    expected = sorted((photo for photo in counted if photo < below), reverse=True)
    assert list(found.ids) == expected[:count]
    assert found.floor == (expected[count - 1] - 1 if len(expected) > count else 0)


def _known(read: dict[UserId, list[AuthorPhoto]], each_max: int, reader: UserId | None) -> Source:
    [(author, photos)] = read.items()
    shown = [photo.photo_id for photo in photos if photo.ready or author == reader]
    return Source(shown, photos[-1].photo_id - 1 if len(photos) == each_max else 0)


async def test_nothing_is_read_of_known_authors_without_more() -> None:
    """Only authors whose known photos may not reach as deep as the result are read."""
    store = _Counting()
    for photo in range(1, 41):
        await store.add([(PhotoId(photo), UserId(1 if photo <= 20 else 2))], ready=True)
    known = {UserId(1): Source((20, 19), 18), UserId(2): Source(range(40, 30, -1), 30)}

    found = await newest_of(store, [UserId(1), UserId(2)], below=10**9, count=5, known=known)

    assert (list(found.ids), found.floor) == ([40, 39, 38, 37, 36], 35)
    assert store.rows == 0


class _Counting(MemoryAuthorPhotos):
    """Counts the rows that were read."""

    rows = 0

    async def newest(self, *args, **kwargs):  # type: ignore[no-untyped-def]
        found = await super().newest(*args, **kwargs)
        self.rows += sum(len(photos) for photos in found.values())
        return found


async def test_little_is_read_of_many_authors() -> None:
    """For the newest 500 of a thousand authors with 100 photos each, at most a tenth is read."""
    store = _Counting()
    for photo in range(1, 100_001):
        await store.add([(PhotoId(photo), UserId(photo % 1_000 + 1))], ready=True)

    found = await newest_of(store, [UserId(author) for author in range(1, 1_001)], below=10**9, count=500)

    assert list(found.ids) == list(range(100_000, 99_500, -1))
    assert store.rows <= 10_000


def _rebuilder(world: World, outcomes: list[RebuildOutcome], **overrides: object) -> Rebuilder:
    async def followees_of(owner: UserId) -> list[UserId]:
        return list(await world.stores.outgoing_edges.following(owner))

    parts: dict[str, object] = {
        "stores": world.stores,
        "followees_of": followees_of,
        "timeline_ids": 500,
        "in_flight_max": 2,
        "count": outcomes.append,
        **overrides,
    }
    return Rebuilder(**parts)  # type: ignore[arg-type]  # As named above.


async def _ring(world: World) -> ring.Ring:
    value = await world.stores.timelines.read(OWNER)
    assert value is not None
    return ring.parse(value)


@pytest.mark.law("L5")
async def test_what_arrives_meanwhile_is_kept() -> None:
    """Law: a rebuild loses nothing that arrives meanwhile."""
    world = await make_world()
    await world.follow(OWNER, 2)
    await world.post(10, 2)
    outcomes: list[RebuildOutcome] = []

    async def followees_of(owner: UserId) -> list[UserId]:
        await world.stores.timelines.append([PhotosForOwners((PhotoId(11),), PackedIds(pack_ids([owner])))])
        return [UserId(2)]

    await _rebuilder(world, outcomes, followees_of=followees_of).rebuild(OWNER, wait_s=WAIT_S)

    stored = await _ring(world)
    assert (stored.ids, stored.token) == (frozenset({10, 11}), ring.NO_TOKEN)
    assert outcomes == [RebuildOutcome.REBUILT]


async def test_followees_are_read_after_the_timeline_exists() -> None:
    """If a backfill finds no timeline, nothing is lost: the follow's row was written before it."""
    world = await make_world()
    await world.post(10, 2)
    begin = world.stores.timelines.begin_rebuild

    async def begin_after_a_follow(owner: UserId, token: bytes) -> bool:
        # The follow and its backfill run just before the timeline is created.
        await world.follow(OWNER, 2)
        assert not await world.stores.timelines.merge(OWNER, [PhotoId(10)])
        return await begin(owner, token)

    world.switches["timelines"].begin_rebuild = begin_after_a_follow  # type: ignore[attr-defined]  # The race.
    await _rebuilder(world, []).rebuild(OWNER, wait_s=WAIT_S)

    assert (await _ring(world)).ids == {10}


async def test_a_timeline_that_became_anothers_is_left_alone() -> None:
    """The store refuses the result, because the timeline has another rebuild's token.

    The photos that were read are correct, so the caller still gets them.
    """
    world = await make_world()
    await world.post(10, OWNER)
    outcomes: list[RebuildOutcome] = []

    async def followees_of(owner: UserId) -> list[UserId]:
        await world.stores.timelines.forget(owner)
        await world.stores.timelines.begin_rebuild(owner, b"another!")
        return []

    found = await _rebuilder(world, outcomes, followees_of=followees_of).rebuild(OWNER, wait_s=WAIT_S)

    assert found == Source((10,), 0)
    assert (await _ring(world)).token == b"another!"
    assert outcomes == [RebuildOutcome.OVERTAKEN]


async def test_one_rebuild_per_owner_at_a_time() -> None:
    """A second call in the same process gets the same result; one in another process gets None."""
    world = await make_world()
    await world.post(10, OWNER)
    mine: list[RebuildOutcome] = []
    others: list[RebuildOutcome] = []
    may_go = asyncio.Event()

    async def followees_of(owner: UserId) -> list[UserId]:
        await may_go.wait()
        return []

    here = _rebuilder(world, mine, followees_of=followees_of)
    first = asyncio.create_task(here.rebuild(OWNER, wait_s=WAIT_S))
    await eventually("the rebuild to begin", lambda: here.is_running(OWNER))
    second = asyncio.create_task(here.rebuild(OWNER, wait_s=WAIT_S))
    elsewhere = await _rebuilder(world, others).rebuild(OWNER, wait_s=WAIT_S)
    may_go.set()

    assert await first == await second == Source((10,), 0)
    assert (elsewhere, mine, others) == (None, [RebuildOutcome.REBUILT], [RebuildOutcome.ELSEWHERE])


async def test_two_rebuilds_of_one_owner_both_end(caplog: pytest.LogCaptureFixture) -> None:
    """Redis may lose the timeline between their begins, so that both may begin."""
    world = await make_world()
    caplog.clear()  # What the world says while it is made.

    async def begin(owner: UserId, token: bytes) -> bool:
        await asyncio.sleep(0)
        return True

    world.switches["timelines"].begin_rebuild = begin  # type: ignore[attr-defined]  # The loss.
    rebuilder = _rebuilder(world, [])
    await asyncio.gather(*(rebuilder.rebuild(OWNER, wait_s=WAIT_S) for _ in range(2)))

    assert not rebuilder.is_running(OWNER)
    assert caplog.records == []


async def test_rebuilds_in_flight_are_bounded() -> None:
    """With a limit of two, the third rebuild is refused without a call to any store."""
    world = await make_world()
    outcomes: list[RebuildOutcome] = []
    never = asyncio.Event()

    async def followees_of(owner: UserId) -> list[UserId]:
        await never.wait()
        return []

    rebuilder = _rebuilder(world, outcomes, followees_of=followees_of)
    answers = [await rebuilder.rebuild(UserId(owner), wait_s=0) for owner in (1, 2, 3)]
    await rebuilder.close()

    assert answers == [None, None, None]
    assert outcomes == [RebuildOutcome.LIMITED]


async def test_a_failed_rebuild_lets_the_next_begin_at_once() -> None:
    """A failed rebuild removes its empty timeline, so the next one need not wait for its expiry."""
    world = await make_world()
    await world.post(10, OWNER)
    outcomes: list[RebuildOutcome] = []
    rebuilder = _rebuilder(world, outcomes)
    world.switches["author_photos"].down = True
    with pytest.raises(StoreUnavailable):
        await rebuilder.rebuild(OWNER, wait_s=WAIT_S)
    world.switches["author_photos"].down = False

    found = await rebuilder.rebuild(OWNER, wait_s=WAIT_S)

    assert found == Source((10,), 0)
    assert outcomes == [RebuildOutcome.FAILED, RebuildOutcome.REBUILT]


async def test_failures_in_an_outage_fill_no_log(caplog: pytest.LogCaptureFixture) -> None:
    """One line for many, without a traceback. A bug has its traceback each time."""
    world = await make_world()
    caplog.clear()  # What the world says while it is made.
    error: Exception = StoreUnavailable("cassandra", "following", "down")

    async def followees_of(owner: UserId) -> list[UserId]:
        raise error

    rebuilder = _rebuilder(world, [], followees_of=followees_of)
    for _ in range(100):
        with pytest.raises(StoreUnavailable):
            await rebuilder.rebuild(OWNER, wait_s=WAIT_S)
    error = TooManyReads()
    with pytest.raises(TooManyReads):
        await rebuilder.rebuild(OWNER, wait_s=WAIT_S)
    outages = [(record.getMessage(), record.exc_info) for record in caplog.records]
    caplog.clear()
    error = LookupError()
    for owner in (2, 3):
        with pytest.raises(LookupError):
            await rebuilder.rebuild(UserId(owner), wait_s=WAIT_S)

    assert outages == [("a rebuild failed: cassandra did not answer following: down", None)]
    assert [record.exc_info is not None for record in caplog.records] == [True, True]


async def test_a_rebuild_that_finds_the_database_busy_takes_its_timeline_away() -> None:
    """Reading the followees may exceed the limit of reads; no empty timeline may be left then."""
    world = await make_world()

    async def followees_of(owner: UserId) -> list[UserId]:
        raise TooManyReads

    with pytest.raises(TooManyReads):
        await _rebuilder(world, [], followees_of=followees_of).rebuild(OWNER, wait_s=WAIT_S)

    assert await world.stores.timelines.read(OWNER) is None


async def test_a_timeline_keeps_the_newest_and_says_how_deep() -> None:
    """If more photos exist than fit, it has the newest ones; its floor is just below them."""
    world = await make_world()
    for photo in range(10, 20):
        await world.post(photo, OWNER)

    await _rebuilder(world, [], timeline_ids=3).rebuild(OWNER, wait_s=WAIT_S)

    stored = await _ring(world)
    assert (stored.ids, stored.floor) == (frozenset({19, 18, 17}), 16)
