"""Our objects that no row names are reported, then removed; other apps' objects are not touched."""

import asyncio
import random

import pytest

from schemas.ids import PhotoId
from streams.core.photos import StoredRendition
from streams.errors import StoreUnavailable
from streams.jobs.cleaning.report import SUSPICIOUS_MIN, Inconsistency
from streams.photos.begun import photo_begun
from streams.ports.cleaning import CleaningScan
from streams.stores.memory.media import MemoryCdn
from streams.uploads.entering import photo_of
from tests.worlds.abandoned import AUTHOR, Half, leave
from tests.worlds.cleaning import DAY_MS, HOUR_MS, NAMES, CleaningWorld, counts
from tests.worlds.flaky_stores import FlakyStores, Moment, fail, pause


async def test_a_whole_photo_stays() -> None:
    """Its renditions stay, and its original, from which they may have to be made again."""
    world = CleaningWorld()
    await world.ready_photo()
    before = await world.everything()

    report = await world.clean()

    assert before == await world.everything()
    assert counts(report) == {}
    assert report.objects == 5


async def test_an_object_without_a_row_is_reported_for_a_day_and_then_removed() -> None:
    """This holds for originals and renditions; removed bytes are counted, and whole photos stay."""
    world = CleaningWorld()
    for _ in range(3):
        await world.ready_photo()
    before = await world.everything()
    photo = world.mint(age_ms=HOUR_MS)
    await world.put(world.keys.original(photo), body=b"four")
    await world.put(world.rendition(photo, "small"), body=b"fives")

    world.now_ms += DAY_MS - 1
    reported = await world.clean()
    there = await world.everything()
    world.now_ms += 1
    removed = await world.clean()

    assert {Inconsistency.OBJECT_WITHOUT_ROW: (2, 0)} == counts(reported)
    assert any(world.keys.original(photo) in example for example in reported.examples)
    assert len(before) + 2 == len(there)
    assert {Inconsistency.OBJECT_WITHOUT_ROW: (2, 2)} == counts(removed)
    assert 9 == removed.tallies[Inconsistency.OBJECT_WITHOUT_ROW].removed_bytes
    assert before == await world.everything()


async def test_objects_of_a_deleted_photo_are_removed() -> None:
    """Every object that the removal task left is removed, whether the row names it or not."""
    world = CleaningWorld()
    photo, other = [await world.ready_photo() for _ in range(2)]
    await world.put(world.rendition(photo, "small", "b"), age_ms=DAY_MS)
    await world.stores.photos.erase(photo)

    report = await world.clean()

    assert {Inconsistency.OBJECT_OF_DELETED: (6, 6)} == counts(report)
    assert keys_of(world, other) == await world.everything()


async def test_a_rendition_that_its_row_does_not_name_is_removed_once_old() -> None:
    """A young one is left, because its worker may be about to name it in the row."""
    world = CleaningWorld()
    photo = await world.ready_photo()
    before = await world.everything()
    old, young = world.rendition(photo, "small", "b"), world.rendition(photo, "small", "c")
    await world.put(old, age_ms=DAY_MS)
    await world.put(young, age_ms=DAY_MS - 1)

    report = await world.clean()

    assert {Inconsistency.UNNAMED_OBJECT: (2, 1)} == counts(report)
    assert before | {young} == await world.everything()


async def test_what_is_named_while_the_bucket_is_listed_stays() -> None:
    """The row is read after the bucket is listed, so that the cleaning sees the new name."""
    world = CleaningWorld()
    photo = await world.ready_photo()
    late = world.rendition(photo, "small", "b")
    await world.put(late, age_ms=2 * DAY_MS)

    async def at(moment: Moment) -> None:
        if moment.operation == "list" and moment.done:
            made = StoredRendition(object_key=late, width=1, height=1)
            await world.stores.photos.add_renditions(photo, {"small": made})

    report = await world.job(FlakyStores(world.stores, at).stores).run_once(world.now_ms)

    assert late in await world.everything()
    # The row does not name the earlier rendition any more.
    assert {Inconsistency.UNNAMED_OBJECT: (1, 1)} == counts(report)


async def test_an_upload_that_becomes_a_photo_meanwhile_keeps_its_object() -> None:
    """The upload's row is removed after the photo's row is written.

    A reader that looks for the photo first and for the upload second may find neither.
    """
    world = CleaningWorld()
    photo = world.mint()
    await leave(world.stores, world.keys, photo, Half.COMPLETED, part=b"x")
    upload = await world.stores.uploads.get(photo)
    assert upload is not None
    world.settings = world.settings.model_copy(update={"upload_life_s": 7 * 86_400})
    world.now_ms += 2 * DAY_MS
    is_listed = False

    async def at(moment: Moment) -> None:
        nonlocal is_listed
        if is_listed and (moment.store, moment.operation, moment.done) == ("photos", "get", True):
            # The page's photos were read just before, when this one did not exist yet.
            is_listed = False
            await photo_begun(world.stores, photo_of(upload))
            await world.stores.uploads.remove(photo)
        is_listed |= moment.operation == "list"

    await world.job(FlakyStores(world.stores, at).stores).run_once(world.now_ms)

    assert not is_listed
    assert await world.stores.uploads.get(photo) is None
    assert {world.keys.original(photo)} == await world.everything()


async def test_the_original_of_a_rejected_photo_is_removed_after_its_own_grace() -> None:
    """No rendition can be made of it; the photo's row stays, because it has the reason."""
    world = CleaningWorld()
    photo = world.mint(age_ms=DAY_MS)
    await leave(world.stores, world.keys, photo, Half.COMPLETED, part=b"x")
    await world.clean()
    await world.stores.photos.mark_rejected(photo, "not_an_image")

    world.now_ms += DAY_MS - 1
    reported = await world.clean()
    world.now_ms += 1
    removed = await world.clean()

    assert (1, 0) == counts(reported)[Inconsistency.REJECTED_ORIGINAL]
    assert {Inconsistency.REJECTED_ORIGINAL: (1, 1)} == counts(removed)
    assert set() == await world.everything()


async def test_what_is_not_ours_is_never_touched() -> None:
    """Upstream apps' objects are not listed; unknown objects under our prefix are only reported."""
    world = CleaningWorld()
    photo = world.mint(age_ms=2 * DAY_MS)
    prefix = world.keys.prefix
    theirs = ["apps/1.jpg", f"originals/{photo}", f"shutterline-other/originals/{photo}"]
    unknown = [f"{prefix}originals/{photo}.jpg", f"{prefix}renditions/{photo}/small.jpg", f"{prefix}notes"]
    for key in theirs + unknown:
        await world.put(key, age_ms=2 * DAY_MS)
    world.now_ms += 30 * DAY_MS

    reports = [await world.clean() for _ in range(2)]

    assert {*theirs, *unknown} == await world.everything()
    assert [{Inconsistency.UNKNOWN_OBJECT: (3, 0)}] * 2 == [counts(report) for report in reports]


async def test_a_bucket_that_looks_lost_is_not_emptied() -> None:
    """If over half of a page has no row, the keyspace is probably wrong, or was restored."""
    world = CleaningWorld()
    await world.ready_photo()
    for _ in range(SUSPICIOUS_MIN):
        await world.put(world.keys.original(world.mint(age_ms=2 * DAY_MS)), age_ms=2 * DAY_MS)
    before = await world.everything()

    report = await world.clean()

    assert before == await world.everything()
    assert 1 == len(report.held)
    assert counts(report) == {}

    for _ in range(4):
        await world.ready_photo()
    report = await world.clean()

    assert {Inconsistency.OBJECT_WITHOUT_ROW: (SUSPICIOUS_MIN, SUSPICIOUS_MIN)} == counts(report)


async def orphans(world: CleaningWorld, count: int) -> set[str]:
    """Store `count` old objects without a row among `count` photos; return the photos' keys."""
    photos = [await world.ready_photo() for _ in range(count)]
    for _ in range(count):
        await world.put(world.keys.original(world.mint(age_ms=2 * DAY_MS)), age_ms=2 * DAY_MS)
    return {key for photo in photos for key in keys_of(world, photo)}


def keys_of(world: CleaningWorld, photo: PhotoId) -> set[str]:
    return {world.keys.original(photo), *(world.rendition(photo, name) for name in NAMES)}


async def test_a_walk_goes_on_where_the_last_run_ended() -> None:
    """Each run scans a few objects, and starts again after the end; `whole` scans all of them."""
    world = CleaningWorld(page_max=2)
    world.settings = world.settings.model_copy(update={"cleaning_objects_max": 3})
    keep = await orphans(world, 2)

    seen = [(await world.clean()).objects for _ in range(4)]
    place = await world.stores.cleaning_positions.position(CleaningScan.OBJECTS)

    assert [4, 4, 4, 0] == seen  # Twelve objects in whole pages; the fourth run is at the end.
    assert place == ""
    assert keep == await world.everything()

    await world.clean()
    await world.clean()  # The scan is in the middle now.
    whole = await world.job().run_once(world.now_ms, whole=True)

    assert 10 == whole.objects


async def test_a_pass_may_die_at_every_call() -> None:
    """The next pass continues where the dead pass ended."""
    number, died = 0, True
    while died:
        world, died = CleaningWorld(page_max=3), False
        keep = await orphans(world, 3)

        async def at(moment: Moment, number: int = number) -> None:
            if moment.number * 2 + moment.done >= number:
                fail(moment)

        try:
            await world.job(FlakyStores(world.stores, at).stores).run_once(world.now_ms)
        except StoreUnavailable:
            died = True
        await world.clean()

        assert keep == await world.everything(), number
        number += 1
    assert number > 40


@pytest.mark.parametrize("seed", range(10))
async def test_two_clean_at_once(seed: int) -> None:
    """Some objects are scanned twice; that changes nothing else."""
    world, chosen = CleaningWorld(page_max=3), random.Random(seed)
    keep = await orphans(world, 4)

    async def at(moment: Moment) -> None:
        for _ in range(chosen.randrange(4)):
            await pause()

    jobs = [world.job(FlakyStores(world.stores, at).stores) for _ in range(2)]
    await asyncio.gather(*(job.run_once(world.now_ms, whole=True) for job in jobs))

    assert keep == await world.everything()


async def test_edges_forget_what_was_removed() -> None:
    """The CDN is purged before the delete and again after it.

    Before, because no listing leads to the object if the pass dies just after the delete. After,
    because an edge may have fetched the object between the first purge and the delete.
    """
    world = CleaningWorld()
    photo = await world.ready_photo()
    old = world.rendition(photo, "small", "b")
    await world.put(old, age_ms=DAY_MS)
    flaky = FlakyStores(world.stores)

    await world.job(flaky.stores).run_once(world.now_ms)

    calls = [
        moment.operation
        for moment in flaky.moments
        if moment.done and moment.operation in ("purge", "delete")
    ]
    assert ["purge", "delete", "purge"] == calls
    edges = world.stores.cdn
    assert isinstance(edges, MemoryCdn)
    assert [old, old] == edges.purged


async def test_a_deleted_photo_stays_deleted() -> None:
    """The cleaning writes nothing to the rows of photos whose objects it removes."""
    world = CleaningWorld()
    photo = await world.ready_photo()
    await world.stores.photos.write_tombstone(photo, AUTHOR)
    await world.stores.photos.erase(photo)
    before = await world.stores.photos.get([photo])

    await world.clean()

    assert before == await world.stores.photos.get([photo])
