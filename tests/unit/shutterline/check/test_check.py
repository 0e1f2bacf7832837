"""The consistency check finds each kind of difference, and reports none if there is none."""

from collections.abc import Awaitable, Callable
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.ids import PackedIds, PhotoId, UserId, first_id_at, pack_ids
from schemas.internal import SetKind
from shutterline.check.feeds import Expected, compare_feed
from shutterline.check.report import CheckReport, FindingKind
from shutterline.check.run import check_through
from shutterline.client.feed import FeedReader, FeedWalk, Json, final
from streams.core.counted import Membership
from streams.core.edges import OutgoingEdge
from streams.core.sets import BucketKey, BucketWrite, SetSummary
from tests.worlds.api import World, make_world

ME, AUTHOR, OTHER = UserId(1), UserId(2), UserId(3)
IN = Membership(1, removed=False)
_stamps = count(1)


def _items(*photos: int, author: int = AUTHOR, status: str = "ready") -> list[dict[str, object]]:
    return [{"photo_id": str(photo), "author_id": str(author), "status": status} for photo in photos]


class Client(FeedReader):
    """Calls the application directly. `after` is called with every response, and may change the
    response or the world."""

    settle_s = 0.0

    def __init__(self, world: World, after: Callable[[str, Json], Awaitable[None]] | None = None) -> None:
        self._world = world
        self._after = after

    async def get(self, path: str, user: UserId) -> tuple[Json, float]:
        async with self._world.client(user) as client:
            answer = await client.get(path)
        body = final(path, answer.status_code, answer.json())
        if self._after is not None:
            await self._after(path, body)
        return body, 0.0


async def _check(world: World, *users: UserId) -> CheckReport:
    return await check_through(
        Client(world),
        world.stores,
        users or [ME],
        waiting_s_max=60,
        clock_ms=lambda: world.clock.ms,
        recheck_s=0.0,
    )


async def _set(
    world: World,
    kind: SetKind,
    owner: int,
    members: list[int],
    *,
    total: int | None = None,
    page: tuple[int, ...] | None = None,
) -> None:
    """Store a set of level 0 as its writer does, or with a wrong `total`. A second call for the
    same set is newer."""
    summary = SetSummary(level=0, total=len(members) if total is None else total)
    write = BucketWrite(
        key=BucketKey(kind, owner, 0, 0),
        rows=dict.fromkeys(members, IN),
        count=len(members),
        summary=summary,
        stamp=next(_stamps),
        page=None if page is None else PackedIds(pack_ids(page)),
    )
    await world.stores.counted_sets.write([write])


async def _sound_world() -> World:
    """A consistent world: ME follows AUTHOR, who has posted 10, 11 and 12. Both sides of the edge
    are stored."""
    world = await make_world()
    await world.follow(ME, AUTHOR)
    await _set(world, SetKind.FOLLOWERS, AUTHOR, [ME])
    for photo in (10, 11, 12):
        await world.post(photo, AUTHOR)
    await _set(world, SetKind.READY_PHOTOS, AUTHOR, [10, 11, 12])
    await world.later(120)
    return world


async def test_a_sound_world_has_no_difference() -> None:
    """Feeds, counts, likes and edges are all compared, for readers and for authors."""
    world = await _sound_world()

    report = await _check(world, ME, AUTHOR)

    assert report.examples == ()
    assert report.difference == 0
    assert (report.users, report.photos, report.edges, report.rechecked) == (2, 6, 2, 0)
    # Three counts of each user; like count and `liked` of each photo shown.
    assert report.counts == 2 * 3 + 2 * 6


async def test_a_photo_that_is_in_no_timeline_is_missing() -> None:
    """The timeline was made before the photo, and the photo was never pushed."""
    world = await _sound_world()
    await _check(world)

    await world.post(13, AUTHOR)
    await _set(world, SetKind.READY_PHOTOS, AUTHOR, [10, 11, 12, 13])
    report = await _check(world)

    assert report.by_kind == {FindingKind.MISSING: 1}
    assert [finding.subject for finding in report.examples] == [13]


async def test_a_photo_that_the_authors_list_does_not_have_is_extra() -> None:
    """The photo is still in the timeline, and its row does not say that it was deleted."""
    world = await _sound_world()
    await _check(world)

    await world.stores.author_photos.remove(AUTHOR, PhotoId(11))
    report = await _check(world)

    assert report.by_kind == {FindingKind.EXTRA: 1}
    assert [finding.subject for finding in report.examples] == [11]


async def test_deleted_and_unfollowed_photos_are_not_expected() -> None:
    """They are still in the timeline, but the feed correctly hides them."""
    world = await _sound_world()
    await _check(world)

    await world.delete(11, AUTHOR)
    report = await _check(world)
    await world.follow(ME, AUTHOR, removed=True)
    after = await _check(world)

    assert (report.difference, after.difference) == (0, 0)
    assert (report.photos, after.photos) == (2, 0)


async def test_a_row_that_says_deleted_is_not_expected() -> None:
    """The photo is removed from the author's list a moment after its row is marked as deleted."""
    world = await _sound_world()

    await world.stores.photos.erase(PhotoId(11))
    report = await _check(world)

    assert (report.difference, report.photos) == (0, 2)


@pytest.mark.parametrize("total", [0, 2])
async def test_a_total_that_is_not_the_number_of_rows_is_found(total: int) -> None:
    """The API shows the stored total, which differs from the number of rows."""
    world = await _sound_world()
    await _set(world, SetKind.FOLLOWERS, AUTHOR, [ME], total=total)

    report = await _check(world, AUTHOR)

    assert report.by_kind == {FindingKind.FOLLOWERS: 1}
    assert f"shown {total}, stored total {total}, rows 1" in str(report.examples[0])


@pytest.mark.parametrize("page", [(), (ME, OTHER), (OTHER,)])
async def test_a_page_of_fan_out_that_is_not_its_rows_is_found(page: tuple[UserId, ...]) -> None:
    """Fan-out reads the page. A follower who is missing from it gets no photos, even if the counts
    are right."""
    world = await _sound_world()
    await _set(world, SetKind.FOLLOWERS, AUTHOR, [ME], page=page)

    report = await _check(world, AUTHOR)

    assert report.by_kind == {FindingKind.FOLLOWERS: 1}
    differ = len({ME} ^ set(page))
    assert f"rows 1, {differ} differ in their pages" in str(report.examples[0])


async def test_members_who_left_are_not_counted() -> None:
    """Their rows stay for some time and are marked as removed."""
    world = await _sound_world()
    left = BucketWrite(
        key=BucketKey(SetKind.FOLLOWERS, AUTHOR, 0, 0),
        rows={OTHER: Membership(2, removed=True)},
        count=1,
        summary=None,
        stamp=next(_stamps),
    )

    await world.stores.counted_sets.write([left])

    assert (await _check(world, AUTHOR)).difference == 0


async def test_a_heart_that_the_readers_own_row_does_not_have_is_found() -> None:
    """`liked` is read from the reader's own rows, with one query for a page."""
    world = await _sound_world()

    async def after(path: str, body: Json) -> None:
        if path.startswith("/v1/feed"):
            body["items"][0]["liked"] = True

    report = await check_through(Client(world, after), world.stores, [ME], recheck_s=0.0)

    assert report.by_kind == {FindingKind.LIKED: 1}


async def test_a_like_count_that_is_not_the_number_of_likers_is_found() -> None:
    """The count is shown with each photo of the feed."""
    world = await _sound_world()
    await _set(world, SetKind.LIKERS, 12, [5, 6], total=3)

    report = await _check(world)

    assert report.by_kind == {FindingKind.LIKES: 1}
    assert report.examples[0].subject == 12


async def test_photos_that_the_authors_list_has_and_the_set_has_not_are_found() -> None:
    """Two tables store which photos of an author are ready, and they must agree."""
    world = await _sound_world()
    await _set(world, SetKind.READY_PHOTOS, AUTHOR, [], total=2)
    await _set(world, SetKind.READY_PHOTOS, OTHER, [10], total=1)

    report = await _check(world, AUTHOR, OTHER)

    assert report.by_kind == {FindingKind.PHOTOS: 2}


async def test_an_edge_that_is_in_one_table_alone_is_found_from_either_side() -> None:
    """ME follows OTHER but is not in OTHER's set of followers. Another user is in the set but does
    not follow OTHER."""
    world = await _sound_world()
    await world.follow(ME, OTHER)
    await _set(world, SetKind.FOLLOWERS, OTHER, [77])

    report = await _check(world, ME, OTHER)

    assert report.by_kind == {FindingKind.EDGES: 2}
    assert {(finding.user, finding.subject) for finding in report.examples} == {(ME, OTHER), (OTHER, 77)}


async def test_an_own_row_that_says_unfollowed_is_no_edge() -> None:
    """There are rows on both sides, but one is marked as removed."""
    world = await _sound_world()
    await world.stores.outgoing_edges.write(
        OutgoingEdge.FOLLOWING, ME, AUTHOR, Membership(world.clock.us(), removed=True)
    )
    await world.later(60)

    report = await _check(world, AUTHOR)

    assert report.by_kind == {FindingKind.EDGES: 1}


async def test_what_a_second_look_does_not_find_does_not_count() -> None:
    """A difference that disappears was an event in progress. The report says how many users were
    compared again."""
    world = await _sound_world()
    await _check(world)
    await world.post(13, AUTHOR)
    await _set(world, SetKind.READY_PHOTOS, AUTHOR, [10, 11, 12, 13])

    async def after(path: str, _: Json) -> None:
        if path.startswith("/v1/users"):
            await world.post(13, AUTHOR, followers=(ME,))  # The page of the fan-out lands.

    report = await check_through(Client(world, after), world.stores, [ME], recheck_s=0.0)

    assert (report.difference, report.rechecked) == (0, 1)


async def test_each_look_may_find_something_else_under_way() -> None:
    """If the two comparisons find different differences, neither has lasted, so none is counted."""
    world = await _sound_world()
    await _check(world)
    await world.post(13, AUTHOR)
    await _set(world, SetKind.READY_PHOTOS, AUTHOR, [10, 11, 12, 13])

    async def after(path: str, _: Json) -> None:
        if path.startswith("/v1/users"):
            await world.post(13, AUTHOR, followers=(ME,))
            await world.post(14, AUTHOR)

    report = await check_through(Client(world, after), world.stores, [ME], recheck_s=0.0)

    assert (report.difference, report.rechecked) == (0, 1)


async def test_a_feed_that_does_not_become_complete_is_told() -> None:
    """A `partial` page may leave out photos, so the check would not see that they are missing."""
    world = await _sound_world()

    async def after(path: str, body: Json) -> None:
        if path.startswith("/v1/feed"):
            body["completeness"] = "partial"

    report = await check_through(Client(world, after), world.stores, [ME], recheck_s=0.0)

    assert report.by_kind == {FindingKind.INCOMPLETE: 1}


@given(st.sets(st.integers(1, 1_000)), st.integers(0, 1_000))
def test_a_feed_as_expected_has_no_findings(photos: set[int], floor: int) -> None:
    """This holds for every floor of the expectation."""
    ordered = sorted(photos, reverse=True)
    walk = FeedWalk(items=_items(*ordered), ended=True)
    expected = Expected([photo for photo in ordered if photo >= floor], floor)

    assert list(compare_feed(ME, walk, expected)) == []


def test_a_photo_twice_and_photos_out_of_order_are_found() -> None:
    """A comparison of sets of ids would find neither."""
    walk = FeedWalk(items=_items(9, 7, 8, 7), ended=True)

    findings = [(finding.kind, finding.subject) for finding in compare_feed(ME, walk, Expected([9, 8, 7], 0))]

    assert findings == [(FindingKind.ORDER, 8), (FindingKind.DUPLICATE, 7)]


def test_below_where_either_reaches_nothing_is_compared() -> None:
    """If the walk was stopped early or the expectation has a floor, nothing is known about older
    photos."""
    cut_walk = FeedWalk(items=_items(9, 8), ended=False)
    whole_walk = FeedWalk(items=_items(9, 8, 2), ended=True)

    assert list(compare_feed(ME, cut_walk, Expected([9, 8, 3], 0))) == []
    assert list(compare_feed(ME, whole_walk, Expected([9, 8], 8))) == []


def test_the_readers_own_photos_that_are_not_ready_are_left_out() -> None:
    """Only their author may see them. Such a photo of another author is a finding."""
    own = FeedWalk(items=_items(9, author=ME, status="processing"), ended=True)
    strange = FeedWalk(items=_items(9, author=AUTHOR, status="processing"), ended=True)

    assert list(compare_feed(ME, own, Expected([], 0))) == []
    assert [finding.kind for finding in compare_feed(ME, strange, Expected([], 0))] == [FindingKind.EXTRA]


@pytest.mark.parametrize(("age_s", "waiting"), [(0, 0), (59, 0), (61, 1), (-359, 0), (-1_200, 1)])
async def test_a_photo_that_waits_for_ever_is_found(age_s: int, waiting: int) -> None:
    """One that is processing for longer than anything takes, or whose id is from the future."""
    world = await _sound_world()
    photo = first_id_at(world.clock.ms - age_s * 1_000)
    await world.upload(photo, OTHER)

    report = await _check(world, OTHER)

    assert report.by_kind == ({FindingKind.WAITING: 1} if waiting else {})
    assert report.processing == 1
    assert [finding.subject for finding in report.examples] == [photo] * waiting


async def test_a_rejected_photo_does_not_wait() -> None:
    """Nor does a deleted one."""
    world = await _sound_world()
    for photo in (20, 21):
        await world.upload(photo, OTHER)
    await world.stores.photos.mark_rejected(PhotoId(20), "broken")
    await world.delete(21, OTHER)

    assert (await _check(world, OTHER)).difference == 0


async def test_a_like_that_never_reached_the_photo_is_found() -> None:
    """The reader's own row was written, and the event of the like was lost."""
    world = await _sound_world()
    await world.stores.outgoing_edges.write(OutgoingEdge.LIKES, ME, 11, IN)

    report = await _check(world)

    assert report.by_kind == {FindingKind.ONE_SIDED_LIKE: 1}
    assert [finding.subject for finding in report.examples] == [11]
