"""The audit finds what was changed by hand in each table and in a timeline, and repairs it."""

from collections.abc import Awaitable, Callable, Sequence

import pytest

from schemas.ids import ID_MAX, PackedIds, PhotoId, UserId, first_id_at, pack_ids
from schemas.internal import LEFT_TIME_US, READY_TIME_US, EdgeRecord, SetKind
from streams.core.counted import Membership
from streams.core.delivery import DeliveryReason, Mode
from streams.core.edges import OutgoingEdge
from streams.core.overload.deferral import DeferredPost
from streams.core.photos import AuthorPhoto
from streams.core.ring import parse
from streams.core.sets import BucketKey, BucketWrite, SetSummary, StoredPage
from streams.jobs.audit.drift import Drift
from streams.ports.timelines import PhotosForOwners
from streams.timelines.rebuild import Rebuilder
from tests.unit.streams.jobs.audit.world import AUTHOR, ME, OTHER, PHOTOS, AuditWorld, make_audit_world
from tests.worlds.api import NOW_MS, RENDITIONS
from tests.worlds.deliveries import PUSHED

FOLLOWERS = BucketKey(SetKind.FOLLOWERS, AUTHOR, 0, 0)
LIKERS = BucketKey(SetKind.LIKERS, PHOTOS[0], 0, 0)
READY = BucketKey(SetKind.READY_PHOTOS, AUTHOR, 0, 0)
GHOST = PhotoId(first_id_at(NOW_MS - 1_800_000))


async def _lose_following(world: AuditWorld) -> None:
    await world.delete_row(OutgoingEdge.FOLLOWING, ME, AUTHOR)


async def _lose_follower(world: AuditWorld) -> None:
    await world.delete_member(FOLLOWERS, ME)


async def _lose_like(world: AuditWorld) -> None:
    await world.delete_row(OutgoingEdge.LIKES, ME, PHOTOS[0])


async def _lose_liker(world: AuditWorld) -> None:
    await world.delete_member(LIKERS, ME)


async def _lose_ready_photo(world: AuditWorld) -> None:
    await world.delete_member(READY, PHOTOS[1])


async def _lose_entry(world: AuditWorld) -> None:
    await world.api.memory.author_photos.remove(AUTHOR, PHOTOS[1])


async def _miscount(world: AuditWorld) -> None:
    stamp = world.api.clock.us()  # As `UPDATE followers SET live = 99` would have it.
    await world.write(BucketWrite(FOLLOWERS, {}, count=99, summary=None, stamp=stamp))


async def _wrong_total(world: AuditWorld) -> None:
    summary = SetSummary(level=0, total=99)
    await world.write(BucketWrite(LIKERS, {}, count=None, summary=summary, stamp=world.api.clock.us()))


async def _wrong_page(world: AuditWorld) -> None:
    page = PackedIds(pack_ids([ME, OTHER]))
    stamp = world.api.clock.us()
    await world.write(BucketWrite(FOLLOWERS, {}, count=1, summary=None, stamp=stamp, page=page))


async def _lose_pulled(world: AuditWorld) -> None:
    await world.api.memory.authors.remember_modes({AUTHOR: Mode.PULL})


async def _ghost(world: AuditWorld) -> None:
    await world.api.upload(GHOST, OTHER)
    await _append(world, GHOST)


async def _double(world: AuditWorld) -> None:
    await _append(world, PHOTOS[2])


async def _miss(world: AuditWorld) -> None:
    """A photo that is in no timeline, although its row says that it was pushed."""
    await _post_without_delivery(world, PhotoId(GHOST + 1), AUTHOR)


async def _post_without_delivery(world: AuditWorld, photo: PhotoId, author: UserId) -> None:
    await world.api.upload(photo, author)
    await world.api.memory.photos.mark_ready({photo: RENDITIONS}, {photo: PUSHED})
    await world.api.memory.author_photos.add([(photo, author)], ready=True)
    await world.edges([EdgeRecord(SetKind.READY_PHOTOS, photo, author, READY_TIME_US, removed=False)])


async def _append(world: AuditWorld, photo: PhotoId) -> None:
    await world.api.memory.timelines.append([PhotosForOwners((photo,), PackedIds(pack_ids([ME])))])


PLANTED = {
    Drift.FOLLOWING: _lose_following,
    Drift.FOLLOWERS: _lose_follower,
    Drift.LIKES: _lose_like,
    Drift.LIKERS: _lose_liker,
    Drift.READY_PHOTOS: _lose_ready_photo,
    Drift.AUTHOR_PHOTOS: _lose_entry,
    Drift.PULLED_AUTHORS: _lose_pulled,
    Drift.COUNTS: _miscount,
    Drift.EXTRA: _ghost,
    Drift.DOUBLED: _double,
}


async def test_nothing_differs_in_a_sound_world() -> None:
    """Both sides of a follow and of a like, both lists of five photos, three counts, and a timeline."""
    world = await make_audit_world()
    audited = await world.audit()

    assert audited.found == ()
    assert audited.users == 2
    assert audited.timelines == len(PHOTOS)


@pytest.mark.parametrize(("drift", "plant"), PLANTED.items())
async def test_what_is_changed_by_hand_is_found_and_repaired(
    drift: Drift, plant: Callable[[AuditWorld], Awaitable[None]]
) -> None:
    """One pass finds it and repairs it, also where somebody's write is later than any that a worker makes."""
    world = await make_audit_world()
    await plant(world)
    looked = await world.audit(repair=False)
    repaired = await world.audit()
    after = await world.audit()

    assert drift in {each.drift for each in looked.found}
    assert looked.left == looked.found
    assert {each.drift for each in repaired.found} == {each.drift for each in looked.found}
    assert repaired.left == ()
    assert after.found == ()


@pytest.mark.parametrize("plant", [_lose_follower, _lose_liker, _lose_ready_photo])
@pytest.mark.parametrize("order", [(ME, AUTHOR), (AUTHOR, ME)])
async def test_a_repaired_row_is_counted_once(
    plant: Callable[[AuditWorld], Awaitable[None]], order: Sequence[UserId]
) -> None:
    """Also if reader and author are audited one after the other. The first try is hidden by the deletion, but
    counted."""
    world = await make_audit_world(known_rows_max=0)
    await plant(world)
    for user in order:
        await world.audit(user)
    after = await world.audit()

    assert after.found == ()


async def test_a_wrong_page_of_followers_is_packed_again() -> None:
    """Fan-out reads the page, so OTHER would get photos and nobody would see why."""
    world = await make_audit_world(page_level_min=0)
    await _wrong_page(world)
    repaired = await world.audit()

    assert [each.drift for each in repaired.found] == [Drift.PAGES]
    assert repaired.left == ()
    assert (await world.api.memory.counted_sets.members([FOLLOWERS]))[FOLLOWERS] == pack_ids([ME])


async def test_counting_goes_on_after_a_count_that_was_changed_by_hand() -> None:
    """The write by hand has a later stamp than all batches of the log, which must not lose against it."""
    world = await make_audit_world()
    await _miscount(world)
    await world.audit()
    await world.follow(OTHER, AUTHOR)
    [summary] = (await world.api.memory.counted_sets.summaries(SetKind.FOLLOWERS, [AUTHOR])).values()

    assert summary.total == 2
    assert (await world.api.memory.counted_sets.bucket(FOLLOWERS)).count == 2


async def test_a_wrong_total_is_counted_again() -> None:
    world = await make_audit_world()
    await _wrong_total(world)
    repaired = await world.audit(AUTHOR)
    [summary] = (await world.api.memory.counted_sets.summaries(SetKind.LIKERS, [PHOTOS[0]])).values()

    assert [each.drift for each in repaired.found] == [Drift.COUNTS]
    assert summary.total == 1


async def test_a_photo_that_a_timeline_lacks_is_found() -> None:
    """The page shows it after the repair."""
    world = await make_audit_world()
    await _miss(world)
    missed = (await world.api.page(ME)).ids
    repaired = await world.audit()

    assert GHOST + 1 not in missed
    assert Drift.MISSING in {each.drift for each in repaired.found}
    assert GHOST + 1 in (await world.api.page(ME)).ids


async def test_a_ghost_is_gone_from_the_timeline() -> None:
    world = await make_audit_world()
    await _ghost(world)
    await world.audit()
    value = await world.api.memory.timelines.peek(ME)

    assert value is not None
    assert parse(value).ids == set(PHOTOS)


async def test_what_is_on_its_way_is_no_drift() -> None:
    """The first look finds a follow that is not counted yet. The second comes after the log is applied."""
    world = await make_audit_world()
    world.is_holding = True
    await world.follow(OTHER, AUTHOR)
    audited = await world.audit(OTHER, AUTHOR, repair=False)

    assert audited.found == ()
    assert audited.is_judged


async def test_nothing_is_judged_while_workers_are_behind() -> None:
    """Otherwise a backlog would look like the loss of everything in it."""
    world = await make_audit_world()
    world.is_holding = world.is_behind = True
    await world.follow(OTHER, AUTHOR)
    audited = await world.audit(OTHER)

    assert not audited.is_judged
    assert audited.found == ()


async def test_the_later_side_of_an_edge_is_right() -> None:
    """An unfollow that only one side knows is repaired to an unfollow, whichever side that is."""
    world = await make_audit_world()
    removed = Membership(world.api.clock.us(), removed=True)
    await world.write(BucketWrite(FOLLOWERS, {ME: removed}, count=0, summary=SetSummary(), stamp=1 << 49))
    repaired = await world.audit()

    assert [each.drift for each in repaired.found] == [Drift.FOLLOWING]
    assert await world.api.memory.outgoing_edges.following(ME) == {}


async def test_a_missing_photo_row_cannot_be_repaired() -> None:
    """It is reported, and left."""
    world = await make_audit_world()
    await world.api.memory.author_photos.add([(GHOST, AUTHOR)], ready=True)
    repaired = await world.audit(AUTHOR)

    assert [(each.drift, each.member) for each in repaired.left] == [(Drift.PHOTOS, GHOST)]


async def test_a_look_does_not_keep_timelines() -> None:
    """A timeline lives as long as its owner reads."""
    world = await make_audit_world()
    await world.api.later(72 * 3_600 - 200)
    await world.audit(repair=False)
    await world.api.later(200)

    assert await world.api.memory.timelines.peek(ME) is None


async def test_a_bucket_that_is_written_meanwhile_is_not_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its count and its page are read after its rows, so they may be of a later batch."""
    world = await make_audit_world(page_level_min=0)
    sets, followers = world.api.memory.counted_sets, iter(range(100, 200))
    read = sets.stored_page

    async def follow_first(key: BucketKey) -> StoredPage:
        if key.kind is SetKind.FOLLOWERS:
            await world.follow(UserId(next(followers)), AUTHOR)
        return await read(key)

    monkeypatch.setattr(sets, "stored_page", follow_first)
    audited = await world.audit(AUTHOR)

    assert audited.found == ()


async def test_a_timeline_that_is_being_rebuilt_is_not_judged() -> None:
    """It is empty but for what was appended since."""
    world = await make_audit_world()
    await world.api.memory.timelines.forget(ME)
    await world.api.memory.timelines.begin_rebuild(ME, b"a token!")
    audited = await world.audit()

    assert (audited.found, audited.timelines) == ((), 0)


async def test_photos_that_readers_pull_are_not_missing() -> None:
    """Of a pulled author, deferred ones, and those that are not delivered yet."""
    world = await make_audit_world()
    stores = world.api.memory
    for author in (AUTHOR, OTHER, UserId(4)):
        await world.follow(ME, author)
        await _post_without_delivery(world, PhotoId(GHOST + author), author)
    await world.api.pull(AUTHOR)
    post = DeferredPost(
        photo_id=PhotoId(GHOST + OTHER),
        author_id=OTHER,
        reason=DeliveryReason.BREAKER,
        followers=1,
        ready_ms=NOW_MS,
    )
    await stores.deferred.add([post])
    await stores.undelivered.begin([(PhotoId(GHOST + 4), UserId(4))])
    audited = await world.audit(ME)

    assert audited.found == ()


async def test_a_repaired_list_is_not_hidden_by_its_copy() -> None:
    """Readers who pull the author see the photo with the next page."""
    world = await make_audit_world()
    await _lose_entry(world)
    await world.api.memory.timelines.forget(ME)
    await world.api.pull(AUTHOR)
    before = (await world.api.page(ME)).ids
    await world.audit(AUTHOR)

    assert PHOTOS[1] not in before
    assert PHOTOS[1] in (await world.api.page(ME)).ids


async def test_of_one_user_so_many_differences_are_repaired_at_once() -> None:
    """The next passes repair the others, so a disaster does not fill the memory."""
    world = await make_audit_world()
    for member in range(100, 150):
        edge = EdgeRecord(SetKind.FOLLOWERS, member, AUTHOR, world.api.clock.us(), removed=False)
        await world.edges([edge])
    found = [len((await world.audit(AUTHOR, seed=seed)).found) for seed in range(4)]

    assert found == [20, 20, 10, 0]


@pytest.mark.parametrize("count", range(1, 20))
async def test_a_timeline_whose_first_block_has_moved_is_whole(count: int) -> None:
    """What a moved block leaves in the first one is not doubled."""
    world = await make_audit_world()
    for number in range(count):
        photo = PhotoId(GHOST + number)
        await world.api.post(photo, AUTHOR, followers=(ME,))
        await world.edges([EdgeRecord(SetKind.READY_PHOTOS, photo, AUTHOR, READY_TIME_US, removed=False)])
    audited = await world.audit()

    assert audited.found == ()


async def test_an_unfollow_during_a_repair_wins() -> None:
    """The second try states the edge as of a moment before its look, so what a reader does since is later."""
    world = await make_audit_world()
    await _lose_follower(world)
    edges, tries = world.edges, iter(range(9))

    async def unfollow_before_the_second(records: Sequence[EdgeRecord]) -> None:
        if next(tries) == 1:
            world.api.clock.ms += 1
            await world.api.follow(ME, AUTHOR, removed=True)
        world.api.clock.ms += 1
        await edges(records)

    world.edges = unfollow_before_the_second  # type: ignore[method-assign]  # A reader at this moment.
    await world.audit()

    assert await world.api.memory.outgoing_edges.following(ME) == {}
    assert (await world.api.page(ME)).ids == []


async def test_a_photo_that_was_repaired_can_be_deleted() -> None:
    """The repair has a later time than the photo's readiness; its removal is later than any repair."""
    world = await make_audit_world()
    await _lose_ready_photo(world)
    await world.audit()
    await world.api.delete(PHOTOS[1], AUTHOR)
    await world.edges([EdgeRecord(SetKind.READY_PHOTOS, PHOTOS[1], AUTHOR, LEFT_TIME_US, removed=True)])
    [summary] = (await world.api.memory.counted_sets.summaries(SetKind.READY_PHOTOS, [AUTHOR])).values()

    assert summary.total == len(PHOTOS) - 1


async def test_what_nothing_can_repair_hides_nothing_else() -> None:
    """An author with many lost rows; a count that is compared after them is repaired nevertheless."""
    world = await make_audit_world()
    lost = [(PhotoId(GHOST + number), AUTHOR) for number in range(40)]
    await world.api.memory.author_photos.add(lost, ready=True)
    photo = PhotoId(GHOST + 100)
    await world.api.post(photo, AUTHOR)
    await world.edges([EdgeRecord(SetKind.READY_PHOTOS, photo, AUTHOR, READY_TIME_US, removed=False)])
    key, summary = BucketKey(SetKind.LIKERS, photo, 0, 0), SetSummary(level=0, total=9)
    await world.write(BucketWrite(key, {}, count=None, summary=summary, stamp=world.api.clock.us()))
    repaired = await world.audit(AUTHOR)

    assert {each.drift for each in repaired.left} == {Drift.PHOTOS}
    assert Drift.COUNTS in {each.drift for each in repaired.found}


async def test_a_timeline_stays_while_no_rebuild_can_begin(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its owner has a page at every moment; the next pass finds it again."""
    world = await make_audit_world()
    await _ghost(world)
    monkeypatch.setattr(Rebuilder, "is_full", property(lambda _: True))
    repaired = await world.audit()

    assert [each.drift for each in repaired.left] == [Drift.EXTRA]
    assert await world.api.memory.timelines.peek(ME) is not None


async def test_a_photo_whose_worker_died_halfway_is_left_alone() -> None:
    """Its list says ready before its row does. If the audit took it out, it could not come back."""
    world = await make_audit_world()
    await world.api.upload(GHOST, AUTHOR)
    await world.api.memory.author_photos.add([(GHOST, AUTHOR)], ready=True)
    found = (await world.audit(AUTHOR)).found
    await world.api.memory.photos.mark_ready({GHOST: RENDITIONS}, {GHOST: PUSHED})
    await world.edges([EdgeRecord(SetKind.READY_PHOTOS, GHOST, AUTHOR, READY_TIME_US, removed=False)])
    listed = (await world.api.memory.author_photos.newest([AUTHOR], below=ID_MAX, each_max=9))[AUTHOR]

    assert found == ()
    assert AuthorPhoto(GHOST, ready=True) in listed
    assert (await world.audit(AUTHOR)).found == ()


@pytest.mark.parametrize("is_deleted", [False, True])
async def test_a_photo_that_has_left_is_taken_out(is_deleted: bool) -> None:
    """Of the set that is counted; a deleted one also of its author's list."""
    world = await make_audit_world()
    stores = world.api.memory
    if is_deleted:
        await stores.photos.erase(PHOTOS[1])
    else:
        await stores.photos.mark_rejected(PHOTOS[1], "corrupt_image")
    await world.audit(AUTHOR)
    [summary] = (await stores.counted_sets.summaries(SetKind.READY_PHOTOS, [AUTHOR])).values()
    listed = (await stores.author_photos.newest([AUTHOR], below=ID_MAX, each_max=9))[AUTHOR]

    assert summary.total == len(PHOTOS) - 1
    assert len(listed) == len(PHOTOS) - is_deleted
