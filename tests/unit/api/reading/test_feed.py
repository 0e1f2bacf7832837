"""The feed on memory twins: what its pages show, what they never show, and what they cost."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.ids import PackedIds, PhotoId, UserId, pack_id
from streams.core.feed import Completeness, Skeleton, Source, open_ended, union
from streams.core.photos import AuthorPhoto
from streams.errors import StoreUnavailable
from streams.ports.timelines import PhotosForOwners
from streams.stores.cache.keys import pull_list_key
from tests.worlds.api import World, make_world
from topics.catalogue import FANOUT

READER = 1
# Small, so that every page crosses the boundaries between the sources.
SMALL = {"timeline_ids": 5, "timeline_slots": 16, "pull_list_ids_max": 3, "feed_window_ids": 4}


@dataclass(frozen=True)
class Post:
    photo: int
    author: int
    state: str  # ready, processing, rejected or deleted


@dataclass(frozen=True)
class Story:
    followees: frozenset[int]
    unfollowed: frozenset[int]
    pulled: frozenset[int]
    before: tuple[Post, ...]  # Before the timeline exists,
    after: tuple[Post, ...]  # and after it.
    later: tuple[Post, ...]  # While the pages are read.
    limits: tuple[int, ...]


AUTHORS = st.integers(1, 5)
STATES = st.sampled_from(["ready", "ready", "ready", "processing", "rejected", "deleted"])


@st.composite
def stories(draw: st.DrawFn) -> Story:
    photos = draw(st.lists(st.integers(1, 60), unique=True, max_size=40))
    posts = [Post(photo, draw(AUTHORS), draw(STATES)) for photo in photos]
    cuts = sorted(draw(st.tuples(st.integers(0, len(posts)), st.integers(0, len(posts)))))
    followees = draw(st.frozensets(st.integers(2, 5)))
    return Story(
        followees=followees,
        unfollowed=draw(st.frozensets(st.integers(2, 5))),
        pulled=draw(st.frozensets(st.integers(2, 5), max_size=2)),
        before=tuple(posts[: cuts[0]]),
        after=tuple(posts[cuts[0] : cuts[1]]),
        later=tuple(posts[cuts[1] :]),
        limits=tuple(draw(st.lists(st.integers(1, 4), min_size=1, max_size=4))),
    )


async def _post(world: World, post: Post, pulled: frozenset[int]) -> None:
    if post.state in ("ready", "deleted"):
        await world.post(post.photo, post.author, followers=() if post.author in pulled else (READER,))
    else:
        await world.upload(post.photo, post.author)
    if post.state == "rejected":
        await world.stores.photos.mark_rejected(PhotoId(post.photo), "too_large")
    if post.state == "deleted":
        await world.delete(post.photo, post.author)


async def _world_of(story: Story) -> World:
    world = await make_world(**SMALL)
    for author in story.pulled:
        await world.pull(author)
    for followee in story.followees | story.unfollowed:
        await world.follow(READER, followee)
    for post in story.before:
        await _post(world, post, story.pulled)
    await world.later(120)
    await world.page(READER, 1)
    for post in story.after:
        await _post(world, post, story.pulled)
    for followee in story.unfollowed - story.followees:
        await world.follow(READER, followee, removed=True)
    return world


def _oracle(story: Story, posts: tuple[Post, ...]) -> list[int]:
    shown = [
        post.photo
        for post in posts
        if (post.author in story.followees and post.state == "ready")
        or (post.author == READER and post.state in ("ready", "processing"))
    ]
    return sorted(shown, reverse=True)


async def _all_pages(
    world: World, limits: tuple[int, ...], between: Callable[[], Awaitable[None]] | None = None
) -> list[int]:
    """Return the ids of all pages. Check that each page is complete, and that each page but the
    last is full."""
    ids: list[int] = []
    below: int | None = None
    for turn in range(200):
        limit = limits[turn % len(limits)]
        page = await world.page(READER, limit, below)
        assert page.completeness is Completeness.COMPLETE
        assert len(page.ids) == limit or page.below is None
        ids += page.ids
        below = page.below
        if below is None:
            return ids
        if between is not None:
            await between()
    raise AssertionError("the pages do not end")


@pytest.mark.law("L4")
@given(stories())
def test_the_pages_show_what_the_oracle_says(story: Story) -> None:
    """Law: no duplicate, no skip across pages, for all limits and wherever the sources end."""

    async def run() -> list[int]:
        return await _all_pages(await _world_of(story), story.limits)

    assert asyncio.run(run()) == _oracle(story, story.before + story.after)


@pytest.mark.law("L4")
@given(stories())
def test_new_photos_do_not_shift_later_pages(story: Story) -> None:
    """A cursor names a position in the order: every earlier photo is shown once, and no photo twice."""

    async def run() -> list[int]:
        world = await _world_of(story)
        coming = iter(story.later)

        async def one_more() -> None:
            post = next(coming, None)
            if post is not None:
                await _post(world, post, story.pulled)

        return await _all_pages(world, story.limits, one_more)

    shown = asyncio.run(run())
    late = {post.photo for post in story.later}

    assert shown == sorted(set(shown), reverse=True)
    assert [photo for photo in shown if photo not in late] == _oracle(story, story.before + story.after)


@given(stories())
def test_without_redis_the_pages_show_the_same(story: Story) -> None:
    """Redis may be lost at any moment: every page comes from the database and is complete."""

    async def run() -> list[int]:
        world = await _world_of(story)
        world.fail("redis")
        return await _all_pages(world, story.limits)

    assert asyncio.run(run()) == _oracle(story, story.before + story.after)


def _descending(ids: list[int]) -> Source:
    return Source(sorted(ids, reverse=True), 0)


SOURCES = st.lists(
    st.builds(
        lambda ids, floor: replace(_descending(ids), floor=floor),
        st.lists(st.integers(1, 30), max_size=20),
        st.integers(0, 30),
    ),
    max_size=4,
)


def _vouched_for(sources: list[Source], below: int, bound: int) -> list[int]:
    everything = {photo for source in sources for photo in source.ids}
    return [photo for photo in range(below - 1, bound, -1) if photo in everything]


@given(SOURCES, st.integers(1, 31))
def test_a_union_shows_all_that_every_source_vouches_for(sources: list[Source], below: int) -> None:
    """The ids are descending and unique, below the cursor and above the greatest floor. Without
    sources nothing is known."""
    skeleton = union(sources, below)

    assert skeleton.bound == max((source.floor for source in sources), default=below - 1)
    assert list(skeleton.ids) == _vouched_for(sources, below, skeleton.bound)


@given(SOURCES, st.integers(1, 31), st.integers(1, 8))
def test_a_union_that_is_cut_is_whole_above_its_bound(sources: list[Source], below: int, count: int) -> None:
    """No id above the bound is missing. The union has at least `count` ids, or all that exist."""
    whole, cut = union(sources, below), union(sources, below, count)

    entries = sum(cut.bound < photo < below for source in sources for photo in source.ids)
    assert cut.bound >= whole.bound
    assert list(cut.ids) == _vouched_for(sources, below, cut.bound)
    assert cut == whole or entries >= count


def test_a_union_of_many_sources_takes_few_more_ids_than_needed() -> None:
    """The sources are fifty interleaved lists of forty equally new ids, and a timeline of older
    photos."""
    lists = [_descending([50 * turn + author for turn in range(100, 140)]) for author in range(50)]

    cut = union([*lists, _descending(list(range(1, 501)))], 10**6, 42)

    assert list(cut.ids) == list(range(6_999, 6_999 - len(cut.ids), -1))
    assert 42 <= len(cut.ids) <= 60


def test_an_open_ended_skeleton_never_reaches_the_end() -> None:
    """A timeline that is being rebuilt does not say whether there are photos below its last id."""
    assert open_ended(Skeleton((9, 7), 0), 20) == Skeleton((9, 7), 6)
    assert open_ended(Skeleton((), 0), 20) == Skeleton((), 19)


@pytest.mark.law("L2")
async def test_an_unfollow_hides_the_author_of_photos_in_the_timeline() -> None:
    """Law: no ghost, also if a fanout page is appended after the unfollow."""
    world = await make_world()
    await world.follow(READER, 2)
    await world.post(10, 2)
    await world.later(120)
    await world.page(READER)
    await world.follow(READER, 2, removed=True)
    await world.post(11, 2, followers=(READER,))

    page = await world.page(READER)

    assert page.ids == []


@pytest.mark.law("L2")
async def test_a_deleted_photo_is_gone_from_the_next_page() -> None:
    """Law: no ghost: the timeline still has the id, but the row says that the photo is deleted."""
    world = await make_world()
    await world.follow(READER, 2)
    for photo in (10, 11, 12):
        await world.post(photo, 2)
    await world.later(120)
    await world.page(READER)
    await world.delete(11, 2)

    page = await world.page(READER)

    assert page.ids == [12, 10]


async def test_a_new_followee_is_seen_at_once() -> None:
    """The photos of a followee of less than a minute are read from the author's list, so the page
    does not wait for the backfill."""
    world = await make_world()
    await world.post(10, 2)
    await world.page(READER)
    await world.follow(READER, 2)

    page = await world.page(READER)

    assert (page.ids, page.completeness) == ([10], Completeness.COMPLETE)


async def test_too_many_new_followees_are_read_as_one_window() -> None:
    """If there are more lists than a page may read, it reads one window of the database instead."""
    world = await make_world()
    world.limit(pull_lists_max=2)
    for author in (2, 3, 4):
        await world.post(author * 10, author)
    await world.page(READER)
    for author in (2, 3, 4):
        await world.follow(READER, author)
    before = len(world.switches["cache"].calls)

    page = await world.page(READER)

    assert (page.ids, page.below) == ([40, 30, 20], None)
    # One `get` for the rows with their likes, and one for the totals and likes that it lacked. No lists are
    # read.
    assert world.switches["cache"].calls[before:].count("get") == 2


async def test_a_page_of_any_length_costs_the_same_number_of_calls() -> None:
    """Nothing on the feed's path costs a query per item."""
    world = await make_world()
    await world.follow(READER, 2)
    for photo in range(10, 110):
        await world.post(photo, 2)
    await world.later(120)
    await world.page(READER, 100)

    async def calls(limit: int) -> int:
        before = sum(len(switch.calls) for switch in world.switches.values())
        assert len((await world.page(READER, limit)).ids) == limit
        return sum(len(switch.calls) for switch in world.switches.values()) - before

    assert await calls(1) == await calls(100)


async def test_a_warm_page_takes_two_round_trips() -> None:
    """One for followees, the lists that the last page needed, and the timeline; one for rows and likes."""
    world = await make_world()
    await _follow_a_pulled_author(world)
    await world.page(READER)
    calls = {name: len(switch.calls) for name, switch in world.switches.items()}

    page = await world.page(READER)

    assert (page.ids, page.completeness) == ([11, 10], Completeness.COMPLETE)
    made = {name: switch.calls[calls[name] :] for name, switch in world.switches.items()}
    assert {name: names for name, names in made.items() if names} == {
        "page_starts": ["read"],
        "cache": ["get"],
    }


async def _follow_a_pulled_author(world: World) -> None:
    await world.follow(READER, 2)
    await world.follow(READER, 3)
    await world.post(10, 2)
    await world.pull(3)
    await world.page(READER)  # The timeline exists now, and nobody delivers what follows.
    await world.post(11, 3)
    await world.later(120)


@pytest.mark.law("L1")
@pytest.mark.parametrize("knows", [False, True])
async def test_a_photo_that_leaves_its_list_while_a_page_is_read_is_on_it(knows: bool) -> None:
    """Law: the timeline is read after the lists, whether they come with it or must be read first. At each
    call the photo moves: it is appended to the timeline, then the author is no longer pulled."""
    calls = 0
    for moves_at in range(1, 12):
        world = await make_world()
        await _follow_a_pulled_author(world)
        await world.page(READER)
        if not knows:
            await world.stores.cache.invalidate([pull_list_key(3)])
        calls = 0

        async def move(world: World = world, moves_at: int = moves_at) -> None:
            nonlocal calls
            calls += 1
            if calls == moves_at:
                put = PhotosForOwners((PhotoId(11),), PackedIds(pack_id(READER)))
                await world.memory.timelines.append([put])
                await world.memory.author_photos.remove(UserId(3), PhotoId(11))
                await world.memory.cache.invalidate([pull_list_key(3)])

        for switch in world.switches.values():
            switch.before = move

        page = await world.page(READER)

        assert page.ids == [11, 10], f"moved at call {moves_at}"
    assert 2 <= calls < 11


async def test_hidden_photos_do_not_send_a_page_to_the_database() -> None:
    """If photos of the first ids are hidden, the page reads on in the timeline to its end, and not
    in the database."""
    world = await make_world()
    for author in (2, 3):
        await world.follow(READER, author)
    for photo in range(10, 100):
        await world.post(photo, 2 if photo < 40 else 3)
    await world.later(120)
    await world.page(READER)
    await world.follow(READER, 3, removed=True)
    before = len(world.switches["author_photos"].calls)

    page = await world.page(READER, 5)

    assert page.ids == [39, 38, 37, 36, 35]
    assert len(world.switches["author_photos"].calls) == before


async def test_a_page_is_partial_while_fan_out_stands_still() -> None:
    """A ready photo that no worker has delivered for 5 s may be missing; the database is not asked for it."""
    world = await make_world()
    await world.follow(READER, 2)
    await world.later(120)
    await world.page(READER)
    await world.upload(9, 2)
    log = (FANOUT.name, 3)
    world.log_ends.end_of[log] = 1

    completeness = []
    for _ in range(9):
        await world.later(1)
        completeness.append((await world.page(READER)).completeness)
    assert completeness[:4] == [Completeness.COMPLETE] * 4
    assert completeness[-3:] == [Completeness.PARTIAL] * 3

    assert await world.stores.timelines.save_checkpoint(3, 1, expected=0)
    await world.services.delivery.refresh()
    assert Completeness.COMPLETE == (await world.page(READER)).completeness


async def test_a_page_is_partial_when_nobody_knows_how_far_fan_out_is() -> None:
    """Kafka does not answer, so what was published before is not known either."""
    world = await make_world()
    await world.page(READER)
    world.log_ends.is_down = True
    world.clock.ms += 6_000
    await world.services.pulled.refresh()
    with pytest.raises(StoreUnavailable):
        await world.services.delivery.refresh()

    assert Completeness.PARTIAL == (await world.page(READER)).completeness


async def test_a_reader_of_many_authors_reads_one_window_at_a_time() -> None:
    """Other readers do not wait for it."""
    world = await make_world()
    sources = replace(world.services.feed.sources, large_window_authors=2)
    reading: Counter[int] = Counter()
    most: Counter[int] = Counter()

    async def newest(authors: Sequence[UserId], **named: int) -> Mapping[UserId, Sequence[AuthorPhoto]]:
        reader = authors[-1]
        reading[reader] += 1
        most[reader] = max(most[reader], reading[reader])
        for _ in range(20):
            await asyncio.sleep(0)
        reading[reader] -= 1
        return await world.memory.author_photos.newest(authors, **named)

    world.switches["author_photos"].newest = newest  # type: ignore[attr-defined]
    large, small = {UserId(3): 0, UserId(4): 0}, {UserId(5): 0}
    await asyncio.gather(
        *(sources.deeper(UserId(1), large, below) for below in (500, 400, 300, 200)),
        *(sources.deeper(UserId(2), small, below) for below in (500, 400, 300, 200)),
    )

    assert most == {1: 1, 2: 4}
