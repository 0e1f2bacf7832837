"""Reads through the cache: never an old value after a write, and either store alone is enough."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.ids import ID_MAX, PhotoId
from streams.core.edges import EraLikes
from streams.core.feed import END
from streams.core.photos import AuthorPhoto, Photo, PullList, SeenPhoto, Status, StoredRendition
from streams.errors import StoreUnavailable
from streams.fairness import REQUESTER, Requester, Shares
from streams.stores.cache.codecs import (
    decode_likes,
    decode_photo,
    decode_pull_list,
    decode_total,
    encode_likes,
    encode_photo,
    encode_pull_list,
    encode_total,
)
from streams.stores.cache.database_reads import DatabaseReads, TooManyReads
from streams.stores.cache.large_reads import LargeReads
from streams.stores.cache.read_through import KEYS_A_CALL_MAX, CachedKind, ReadResult, ReadThrough
from streams.stores.memory.cache import MemoryCache
from tests.worlds.api import Clock, Switchable

IDS = st.integers(1, ID_MAX)


class _Database:
    """Numbers by id. It may be down, and may call a function while it is read."""

    def __init__(self) -> None:
        self.rows: dict[int, int] = {}
        self.asked: list[list[int]] = []
        self.down = False
        self.meanwhile: Callable[[], Awaitable[None]] | None = None

    async def load(self, ids: Sequence[int]) -> dict[int, int]:
        self.asked.append(list(ids))
        if self.down:
            raise StoreUnavailable("cassandra", "load", "down")
        found = {key: self.rows[key] for key in ids if key in self.rows}
        if self.meanwhile is not None:
            await self.meanwhile()
        return found


class _World:
    def __init__(self, in_flight_max: int = 4, wait_s: float = 0.01) -> None:
        self.clock = Clock()
        self.cache = Switchable(MemoryCache(lambda: self.clock.ms), "redis")
        self.database = _Database()
        self.counted: list[tuple[str, int, int]] = []
        self.through = ReadThrough(
            self.cache,
            DatabaseReads(in_flight_max, wait_s=wait_s, shares=Shares(user=9, address=9)),
            lambda *counted: self.counted.append(counted),
            LargeReads(wait_s),
        )
        self.kind = CachedKind(
            name="numbers",
            key=lambda number: b"n%d" % number,
            encode=encode_total,
            decode=decode_total,
            load=self.database.load,
            ttl_s=60,
            absent=b"null",
            absent_ttl_s=5,
        )

    async def get(self, *ids: int) -> ReadResult[int]:
        return await self.through.get(self.kind, ids)


async def test_the_database_is_read_once() -> None:
    """Values and missing ids are both cached, each with its own TTL."""
    world = _World()
    world.database.rows = {1: 10}

    first, second = await world.get(1, 2), await world.get(1, 2)
    world.clock.ms += 6_000
    third = await world.get(1, 2)
    world.clock.ms += 60_000
    await world.get(1, 2)

    assert first == second == third == ReadResult({1: 10})
    assert world.database.asked == [[1, 2], [2], [1, 2]]
    assert world.counted[:2] == [("numbers", 0, 2), ("numbers", 2, 0)]


@pytest.mark.law("L2")
async def test_a_write_in_between_leaves_no_old_value() -> None:
    """Law: no ghost. Read, then a write elsewhere, then the fill: the fill must not restore the old value."""
    world = _World()
    world.database.rows = {1: 10}

    async def write_elsewhere() -> None:
        world.database.rows = {1: 11}
        await world.cache.invalidate([b"n1"])

    world.database.meanwhile = write_elsewhere
    await world.get(1)
    world.database.meanwhile = None

    assert (await world.get(1)).values == {1: 11}


async def test_without_the_cache_the_database_is_read() -> None:
    """Every call reads the database, and the result says that the cache was unavailable."""
    world = _World()
    world.database.rows = {1: 10}
    world.cache.down = True

    assert await world.get(1) == await world.get(1) == ReadResult({1: 10}, cache_answered=False)


@pytest.mark.parametrize("method", ["lease", "fill"])
async def test_a_failed_lease_or_fill_loses_nothing(method: str) -> None:
    """If the cache fails at that step, the value from the database is still returned."""
    world = _World()
    world.database.rows = {1: 10}
    world.cache.failing = {method}

    assert await world.get(1) == ReadResult({1: 10})


async def test_without_the_database_uncached_ids_are_unknown() -> None:
    """An unknown id may exist, so the result lists it as unknown and not as absent."""
    world = _World()
    world.database.rows = {1: 10}
    await world.get(1, 2)
    world.database.down = True

    assert await world.get(1, 2, 3) == ReadResult({1: 10}, frozenset({3}))


async def test_reads_are_bounded() -> None:
    """A read that gets no slot in time fails; a read that ends releases its slot."""
    world = _World(in_flight_max=1)
    go = asyncio.Event()

    async def wait() -> None:
        await go.wait()

    world.database.meanwhile = wait
    first = asyncio.create_task(world.get(1))
    await asyncio.sleep(0)
    with pytest.raises(TooManyReads):
        await world.get(2)
    go.set()
    await first

    assert await world.get(2) == ReadResult()


async def test_a_large_value_is_read_once_at_a_time() -> None:
    """Requests that arrive during a read share the next one, because the first may have begun before a
    write that they must see. Nothing can be cached here, so the next one reads the database."""
    world = _World(in_flight_max=2, wait_s=5.0)
    world.kind = replace(world.kind, large=True)
    world.cache.failing = {"fill"}
    world.database.rows = {1: 10}
    reading, go = asyncio.Event(), asyncio.Event()

    async def wait() -> None:
        reading.set()
        await go.wait()

    world.database.meanwhile = wait
    first = asyncio.create_task(world.get(1))
    await reading.wait()
    world.database.rows = {1: 11}
    later = [asyncio.create_task(world.get(1)) for _ in range(3)]
    await asyncio.sleep(0)
    go.set()

    assert (await first).values == {1: 10}
    assert [result.values for result in await asyncio.gather(*later)] == [{1: 11}] * 3
    assert world.database.asked == [[1], [1]]


async def test_requests_that_waited_find_what_was_cached() -> None:
    """The database is read once."""
    world = _World(wait_s=5.0)
    world.kind = replace(world.kind, large=True)
    world.database.rows = {1: 10}

    results = await asyncio.gather(*(world.get(1) for _ in range(3)))

    assert [result.values for result in results] == [{1: 10}] * 3
    assert world.database.asked == [[1]]


async def test_requests_that_wait_for_one_key_hold_no_slot() -> None:
    """They fail in time, and the slots are free for other keys."""
    world = _World(in_flight_max=2)
    world.kind = replace(world.kind, large=True)
    world.cache.down = True
    go = asyncio.Event()

    async def wait() -> None:
        await go.wait()

    world.database.meanwhile = wait
    first = asyncio.create_task(world.get(1))
    await asyncio.sleep(0)
    world.database.meanwhile = None
    waiting = [asyncio.create_task(world.get(1)) for _ in range(20)]
    await asyncio.sleep(0)

    assert (await world.get(2)).values == {}
    for task in waiting:
        with pytest.raises(TooManyReads):
            await task
    go.set()
    await first


@pytest.mark.law("L14")
async def test_who_holds_their_share_does_not_delay_a_shared_load() -> None:
    """A user with as many hanging reads as one may have is the first to miss a list that others need."""
    world = _World()
    world.through = ReadThrough(
        world.cache,
        DatabaseReads(4, wait_s=5.0, shares=Shares(user=0.25, address=9)),
        lambda *_: None,
        LargeReads(5.0),
    )
    hangs = asyncio.Event()
    lists = replace(world.kind, name="lists", joined=True)

    async def get(user: int, kind: CachedKind[int], number: int) -> ReadResult[int]:
        REQUESTER.set(Requester(user))
        return await world.through.get(kind, [number])

    async def hang(_: Sequence[int]) -> dict[int, int]:
        await hangs.wait()
        return {}

    slow = asyncio.create_task(get(1, replace(world.kind, name="slow", load=hang), 7))
    for _ in range(5):
        await asyncio.sleep(0)
    first = asyncio.create_task(get(1, lists, 1))
    await asyncio.sleep(0)
    await asyncio.wait_for(get(2, lists, 2), 1.0)
    await asyncio.wait_for(first, 1.0)
    hangs.set()
    await slow

    assert world.database.asked in ([[1], [2]], [[1, 2]])


async def test_requests_that_miss_the_same_share_a_load() -> None:
    """With one lease and one fill. Requests that miss something else do not wait for it."""
    world = _World()
    world.database.rows = {1: 10, 2: 20}

    results = await asyncio.gather(*(world.get(1) for _ in range(20)), world.get(1, 2))

    assert [result.values for result in results] == [*(20 * [{1: 10}]), {1: 10, 2: 20}]
    assert sorted(world.database.asked) == [[1], [1, 2]]
    assert world.cache.calls.count("lease") == 2


async def test_a_call_of_the_cache_has_a_bounded_number_of_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many requests share it."""
    world = _World()
    asked: list[int] = []
    get = world.cache.get

    async def counted(keys: Sequence[bytes]) -> list[bytes | None]:
        asked.append(len(keys))
        return list(await get(keys))

    monkeypatch.setattr(world.cache, "get", counted, raising=False)
    pages = [[b"%d" % (number * 400 + key) for key in range(400)] for number in range(6)]

    await asyncio.gather(*map(world.through.cached, pages))

    assert sum(asked) == 2_400
    assert max(asked) == KEYS_A_CALL_MAX


async def test_a_key_rests_after_a_slow_read() -> None:
    """Its next read waits, at most half as long as a request may wait for its turn."""
    now_s = 100.0
    reads = LargeReads(0.04, clock_s=lambda: now_s)

    async def take(seconds: float) -> None:
        nonlocal now_s
        now_s += seconds

    await reads.run(b"slow", lambda _: take(60.0))
    await reads.run(b"quick", lambda _: take(0.001))

    assert dict(reads._rest_until_s) == {b"slow": pytest.approx(160.02)}


async def test_a_read_that_does_not_wait_is_refused_during_another_read_and_its_rest() -> None:
    now_s = 100.0
    reads = LargeReads(0.04, clock_s=lambda: now_s)
    go = asyncio.Event()

    async def read(_: bool) -> int:
        nonlocal now_s
        await go.wait()
        now_s += 1.0
        return 1

    first = asyncio.create_task(reads.run(b"key", read))
    await asyncio.sleep(0)
    with pytest.raises(TooManyReads):
        await reads.run(b"key", read, waits=False)
    go.set()
    await first
    with pytest.raises(TooManyReads):
        await reads.run(b"key", read, waits=False)
    assert await reads.run(b"other", read, waits=False) == 1
    now_s += 1.0

    assert await reads.run(b"key", read, waits=False) == 1


async def test_without_ids_no_store_is_called() -> None:
    """An empty list of ids needs neither the cache nor the database."""
    world = _World()

    assert await world.get() == ReadResult()
    assert (world.cache.calls, world.database.asked) == ([], [])


@given(st.dictionaries(IDS, st.booleans(), max_size=20), st.integers(1, 21))
def test_pull_lists_survive_their_bytes_with_their_depth(stated: dict[int, bool], ids_max: int) -> None:
    """A full list is complete above its last id; a shorter list is complete."""
    newest = sorted(stated, reverse=True)[:ids_max]
    photos = [AuthorPhoto(PhotoId(photo), stated[photo]) for photo in newest]

    decoded = decode_pull_list(encode_pull_list(PullList.of(photos)))

    assert list(decoded.ready) == [photo for photo in newest if stated[photo]]
    assert list(decoded.unready) == [photo for photo in newest if not stated[photo]]
    assert decoded.floor(ids_max) == (newest[-1] - 1 if len(newest) == ids_max else END)


@given(
    st.builds(
        Photo,
        photo_id=IDS,
        author_id=IDS,
        created_at=st.datetimes(
            timezones=st.just(UTC),
        ),
        caption=st.text(),
        object_key=st.text(min_size=1),
        content_type=st.sampled_from(["image/jpeg", "image/png"]),
        status=st.sampled_from(Status),
        reason=st.none() | st.text(),
        renditions=st.dictionaries(
            st.sampled_from(["thumbnail", "small", "medium", "large"]),
            st.builds(
                StoredRendition,
                object_key=st.text(),
                width=st.integers(1, 16_384),
                height=st.integers(1, 16_384),
            ),
        ),
        deleted=st.booleans(),
    )
)
def test_photos_survive_their_bytes(photo: Photo) -> None:
    """Decoding returns every field that readers need."""
    seen = SeenPhoto.of(photo)

    assert decode_photo(encode_photo(seen)) == seen
    assert (seen.photo_id, seen.author_id, seen.caption) == (photo.photo_id, photo.author_id, photo.caption)
    assert (seen.status, seen.reason, seen.deleted) == (photo.status, photo.reason, photo.deleted)
    assert datetime.fromisoformat(seen.created_at) == photo.created_at
    assert {
        name: StoredRendition(object_key=object_key, width=width, height=height)
        for name, object_key, width, height in seen.renditions
    } == photo.renditions


@given(st.lists(IDS, unique=True, max_size=20), st.integers(0, ID_MAX))
def test_likes_survive_their_bytes(photos: list[int], floor: int) -> None:
    """Decoding returns the same photos in the same order, and their floor."""
    decoded = decode_likes(encode_likes(EraLikes([PhotoId(photo) for photo in photos], floor)))

    assert (list(decoded.photos), decoded.floor) == (photos, floor)


async def test_users_who_miss_the_same_era_at_once_get_their_own_likes() -> None:
    """A load is shared by those who miss the same values. An era is the same id for every user, and not the
    same value."""
    world = _World()
    asked = asyncio.Event()

    def kind_of(user: int) -> CachedKind[int]:
        async def load(eras: Sequence[int]) -> dict[int, int]:
            await asked.wait()
            return dict.fromkeys(eras, user)

        return replace(world.kind, name="likes", key=lambda era: b"%d/%d" % (user, era), load=load)

    reads = [asyncio.create_task(world.through.get(kind_of(user), [28])) for user in (7, 8, 7)]
    await asyncio.sleep(0)
    asked.set()
    read = await asyncio.gather(*reads)

    assert [7, 8, 7] == [result.values[28] for result in read]
