"""Lists that many pages need at once are held for a moment, and hide nothing that a page must show."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from api.reading.hot_lists import HELD_S, HOT_PAGES_A_S, REFRESH_S_MAX, REFRESHED_S, HotLists
from streams.core.feed import Completeness
from streams.core.photos import PullList
from streams.stores.cache.keys import photo_key, pull_list_key
from tests.worlds.api import World, make_world
from tests.worlds.deliveries import PUSHED

GIANT, PHOTO = 3, 11
READERS = range(100, 150)


@dataclass
class _Process:
    """One process's lists, and a clock; each page reads what it must, and holds it."""

    now_s: float = 0.0
    version: int = 0
    lists: HotLists = field(init=False)

    def __post_init__(self) -> None:
        self.lists = HotLists(lambda: self.now_s)

    def pages(self, count: int, authors: Sequence[int] = (GIANT,)) -> list[int]:
        """Return how many lists each page had to read."""
        missing = []
        for _ in range(count):
            held = self.lists.take(authors).lists
            missing.append(len(authors) - len(held))
            read = {author: PullList([self.version], []) for author in authors if author not in held}
            self.lists.hold(read, self.now_s)
        return missing

    def held(self) -> list[int]:
        return [*self.lists.take([GIANT]).lists[GIANT].ready]


def test_a_list_that_few_pages_need_is_read_each_time() -> None:
    process = _Process()
    reads = 0
    for _ in range(5):
        reads += sum(process.pages(HOT_PAGES_A_S - 1))
        process.now_s += 1

    assert reads == 5 * (HOT_PAGES_A_S - 1)


def test_a_list_that_many_pages_need_is_read_about_once_a_second() -> None:
    """However many pages there are: 10 seconds with 1,000 pages each."""
    process = _Process()
    first = sum(process.pages(1_000))
    reads = 0
    for _ in range(1_000):
        process.now_s += 0.01
        reads += sum(process.pages(10))

    assert first == HOT_PAGES_A_S
    assert 10 <= reads <= 10 / REFRESHED_S + 1


def test_one_page_refreshes_a_list_before_it_ends() -> None:
    """The others use the held one meanwhile. If that page fails, another one tries."""
    process = _Process()
    process.pages(HOT_PAGES_A_S)
    process.now_s = REFRESHED_S

    taken = [process.lists.take([GIANT]).lists for _ in range(10)]
    process.now_s += REFRESH_S_MAX
    later = [process.lists.take([GIANT]).lists for _ in range(10)]

    assert [len(lists) for lists in taken] == [len(lists) for lists in later] == [0] + 9 * [1]


def test_no_list_is_used_after_its_end() -> None:
    """The age of a list counts from the beginning of its read."""
    process = _Process()
    process.pages(HOT_PAGES_A_S)
    process.now_s = HELD_S

    assert [process.lists.take([GIANT]).lists for _ in range(3)] == [{}] * 3


def test_the_later_of_two_reads_is_held() -> None:
    """Whichever ends last."""
    process = _Process()
    process.pages(HOT_PAGES_A_S)
    process.lists.hold({GIANT: PullList([2], [])}, 0.2)
    process.lists.hold({GIANT: PullList([1], [])}, 0.1)

    assert process.held() == [2]


def test_a_list_that_is_needed_no_more_is_not_held() -> None:
    """Hot is what was hot in this second or in the one before."""
    process = _Process()
    process.pages(HOT_PAGES_A_S)
    process.now_s = 2.5

    assert process.pages(3) == [1, 1, 1]


def test_what_many_pages_read_at_once_is_read_together() -> None:
    """All ask before the first has its list. From the next second on, nobody reads it alone."""
    process = _Process()
    at_once = [bool(process.lists.take([GIANT]).crowded) for _ in range(100)]
    process.now_s = 1.5
    later = [bool(process.lists.take([GIANT]).crowded) for _ in range(3)]

    assert at_once == [False] * HOT_PAGES_A_S + [True] * (100 - HOT_PAGES_A_S)
    assert later == [True] * 3


async def _crowded(world: World) -> list[bytes]:
    """Let all readers read; returns the keys that Redis is asked for from then on."""
    for reader in READERS:
        await world.follow(reader, GIANT)
    await world.post(PHOTO, GIANT)
    await world.pull(GIANT)
    await world.later(120)
    for reader in READERS:
        await world.page(reader)
    asked: list[bytes] = []
    for switch, method in (("page_starts", "read"), ("cache", "get")):
        read = getattr(world.memory, switch)
        real = getattr(read, method)

        async def note(keys: Sequence[bytes], *rest: object, real=real) -> object:  # type: ignore[no-untyped-def]
            asked.extend(keys)
            return await real(keys, *rest)

        setattr(world.switches[switch], method, note)
    return asked


async def test_a_crowd_costs_redis_no_call_for_each_reader() -> None:
    """Pages of one moment share the call for the rows, and need none for the giant's list."""
    world = await make_world()
    asked = await _crowded(world)

    pages = await asyncio.gather(*(world.page(reader) for reader in READERS))

    assert [([PHOTO], Completeness.COMPLETE)] * 50 == [(page.ids, page.completeness) for page in pages]
    assert asked.count(pull_list_key(GIANT)) == 0
    assert asked.count(photo_key(PHOTO)) <= 2


async def test_a_crowd_after_a_quiet_time_reads_the_list_together() -> None:
    """Nothing is held. A few pages ask for the list themselves, all others share a read."""
    world = await make_world()
    asked = await _crowded(world)
    await world.later(10)

    pages = await asyncio.gather(*(world.page(reader) for reader in READERS))

    assert [([PHOTO], Completeness.COMPLETE)] * 50 == [(page.ids, page.completeness) for page in pages]
    assert asked.count(pull_list_key(GIANT)) <= HOT_PAGES_A_S + 2


@pytest.mark.law("L2")
async def test_a_deleted_photo_of_a_held_list_is_on_no_page() -> None:
    """Law: no ghost. The row is read for every page, and a list holds no row."""
    world = await make_world()
    asked = await _crowded(world)
    await world.delete(PHOTO, GIANT)

    pages = await asyncio.gather(*(world.page(reader) for reader in READERS))

    assert [page.ids for page in pages] == [[]] * 50
    assert asked.count(pull_list_key(GIANT)) == 0


@pytest.mark.law("L15")
async def test_a_page_is_complete_only_with_what_a_held_list_lacks() -> None:
    """A post is on every page after the list's end, long before the five seconds for which it may lack."""
    world = await make_world()
    await _crowded(world)
    await world.upload(PHOTO + 1, GIANT)
    await world.stores.author_photos.add([(PHOTO + 1, GIANT)], ready=True)  # type: ignore[list-item]
    await world.stores.cache.invalidate([pull_list_key(GIANT)])
    await world.stores.photos.mark_ready({PHOTO + 1: {}}, {PHOTO + 1: PUSHED})  # type: ignore[dict-item]
    await world.stores.cache.invalidate([photo_key(PHOTO + 1)])
    await world.later(HELD_S)

    pages = await asyncio.gather(*(world.page(reader) for reader in READERS))

    assert [page.ids for page in pages] == [[PHOTO + 1, PHOTO]] * 50


async def test_the_own_list_is_never_held() -> None:
    """What a giant has just posted is on their own next page, while it is processed, too."""
    world = await make_world()
    await _crowded(world)
    await world.follow(GIANT, 2)
    await world.page(GIANT)
    await world.upload(PHOTO + 1, GIANT)

    assert (await world.page(GIANT)).ids == [PHOTO + 1, PHOTO]
