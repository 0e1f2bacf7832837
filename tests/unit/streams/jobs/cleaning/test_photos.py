"""A ready photo that lost objects is repaired if its original exists; otherwise it is deleted."""

import asyncio
import random
from collections.abc import Sequence

import pytest

from schemas.ids import PhotoId
from schemas.internal import FullTask, ThumbnailTask
from streams.core.photos import StoredRendition
from streams.errors import StoreUnavailable
from streams.jobs.cleaning.report import SUSPICIOUS_MIN, Inconsistency
from streams.ports.cleaning import CleaningScan
from streams.stores.cache.keys import photo_key
from tests.worlds.abandoned import AUTHOR
from tests.worlds.cleaning import DAY_MS, NAMES, CleaningWorld, counts
from tests.worlds.flaky_stores import FlakyStores, Moment, fail, pause
from topics.catalogue import Lane


async def lose(world: CleaningWorld, photo: PhotoId, names: Sequence[str], *, original: bool = False) -> None:
    """Delete these renditions, and if asked the original, from the bucket."""
    await world.stores.media_objects.delete([world.rendition(photo, name) for name in names])
    if original:
        await world.stores.media_objects.delete([world.keys.original(photo)])


async def named(world: CleaningWorld, photo: PhotoId) -> set[str]:
    return set((await world.stores.photos.get([photo]))[photo].renditions)


async def is_deleted(world: CleaningWorld, photo: PhotoId) -> bool:
    return (await world.stores.photos.get([photo]))[photo].deleted


@pytest.mark.parametrize(
    ("lost", "lane", "task"),
    [
        (("large",), Lane.FULL, FullTask),
        (("small", "medium", "large"), Lane.FULL, FullTask),
        (("thumbnail",), Lane.THUMBNAIL, ThumbnailTask),
        (NAMES, Lane.THUMBNAIL, ThumbnailTask),
    ],
)
async def test_lost_renditions_are_made_again_from_the_original(
    lost: Sequence[str], lane: Lane, task: type[ThumbnailTask | FullTask]
) -> None:
    """First the row forgets the lost renditions, otherwise the task would make nothing.

    The cached copy of the row is invalidated, too.
    """
    world = CleaningWorld()
    photo, whole = [await world.ready_photo() for _ in range(2)]
    await lose(world, photo, lost)
    token = await world.stores.cache.lease([photo_key(photo)])
    await world.stores.cache.fill(token, {photo_key(photo): b"old"}, 60)

    report = await world.clean()

    assert {Inconsistency.LOST_RENDITION: (len(lost), len(lost))} == counts(report)
    assert [(lane, task(photo, AUTHOR, world.keys.original(photo), world.now_ms))] == world.tasks.asked
    assert {*NAMES} - {*lost} == await named(world, photo)
    assert [None] == await world.stores.cache.get([photo_key(photo)])
    assert {*NAMES} == await named(world, whole)


async def test_a_rendition_that_was_never_made_is_made() -> None:
    """This happens if its task was lost, or if a repair died after the row and before the task."""
    world = CleaningWorld()
    photo = await world.ready_photo()
    await lose(world, photo, ["large"])
    await world.stores.photos.forget_renditions(photo, ["large"])

    await world.clean()

    assert [Lane.FULL] == [lane for lane, _ in world.tasks.asked]


async def test_young_photos_are_left_to_the_pipeline() -> None:
    """Their larger renditions may still be queued."""
    world = CleaningWorld()
    photo = await world.ready_photo(age_ms=DAY_MS - 1)
    await lose(world, photo, ["large"])

    assert counts(await world.clean()) == {}
    assert {*NAMES} == await named(world, photo)


async def test_what_upstream_apps_made_themselves_is_not_missed() -> None:
    """A photo with a rendition outside our key prefix is not checked."""
    world = CleaningWorld()
    photo = await world.ready_photo(original=False)
    await world.stores.photos.forget_renditions(photo, NAMES)
    theirs = StoredRendition(object_key="apps/1.jpg", width=1, height=1)
    await world.stores.photos.add_renditions(photo, {"thumbnail": theirs})
    await world.stores.media_objects.delete([world.rendition(photo, name) for name in NAMES])

    assert counts(await world.clean()) == {}
    assert [] == world.tasks.asked


async def test_a_photo_without_any_object_goes_after_a_day() -> None:
    """It is deleted as if by its author: it gets a tombstone and leaves the lists and the count."""
    world = CleaningWorld()
    photo, whole = [await world.ready_photo(original=original) for original in (False, True)]
    await lose(world, photo, NAMES)

    first = await world.clean()
    world.now_ms += DAY_MS - 1
    second = await world.clean()
    still = not await is_deleted(world, photo)
    world.now_ms += 1
    third = await world.clean()

    assert still
    assert [{Inconsistency.PHOTO_WITHOUT_OBJECTS: (1, 0)}] * 2 == [counts(first), counts(second)]
    assert (1, 1, 0) == tuple(report.photos_without_objects for report in (first, second, third))
    assert {Inconsistency.PHOTO_WITHOUT_OBJECTS: (1, 1)} == counts(third)
    assert await is_deleted(world, photo)
    assert await world.stores.photos.tombstones([(photo, AUTHOR)])
    listed = (await world.stores.author_photos.newest([AUTHOR], below=2**63 - 1, each_max=10))[AUTHOR]
    assert [whole] == [entry.photo_id for entry in listed]
    assert [(photo, True)] == [(edge.member, edge.removed) for edge in world.tasks.edge_records]
    assert {} == counts(await world.clean())


async def test_a_photo_whose_objects_come_back_stays() -> None:
    """After its objects were restored, a second loss begins a new day of grace."""
    world = CleaningWorld()
    photo = await world.ready_photo(original=False)
    await lose(world, photo, NAMES)
    await world.clean()
    for name in NAMES:
        await world.put(world.rendition(photo, name))

    world.now_ms += DAY_MS
    back = await world.clean()
    await lose(world, photo, NAMES)
    again = await world.clean()

    assert counts(back) == {}
    assert {Inconsistency.PHOTO_WITHOUT_OBJECTS: (1, 0)} == counts(again)
    assert not await is_deleted(world, photo)


async def test_a_photo_whose_original_comes_back_is_mended() -> None:
    """It is not deleted, however long the original was missing."""
    world = CleaningWorld()
    photo = await world.ready_photo(original=False)
    await lose(world, photo, NAMES)
    await world.clean()
    world.now_ms += DAY_MS
    await world.put(world.keys.original(photo))

    report = await world.clean()

    assert {Inconsistency.LOST_RENDITION: (4, 4)} == counts(report)
    assert not await is_deleted(world, photo)
    assert {} == await world.stores.missing_objects.all()


async def test_of_a_photo_that_has_some_renditions_left_only_the_others_are_forgotten() -> None:
    """After a day of grace the photo is shown with the renditions left, and not reported again."""
    world = CleaningWorld()
    photo = await world.ready_photo(original=False)
    await lose(world, photo, ["large", "medium"])
    await world.clean()
    world.now_ms += DAY_MS

    report = await world.clean()

    assert {Inconsistency.PHOTO_WITHOUT_OBJECTS: (1, 1)} == counts(report)
    assert {"thumbnail", "small"} == await named(world, photo)
    assert not await is_deleted(world, photo)
    assert {} == counts(await world.clean())


async def test_a_photo_deleted_meanwhile_is_forgotten() -> None:
    """If its author deletes it within the day of grace, the noted loss is dropped."""
    world = CleaningWorld()
    photo = await world.ready_photo(original=False)
    await lose(world, photo, NAMES)
    await world.clean()
    await world.stores.photos.erase(photo)

    assert counts(await world.clean()) == {}
    assert {} == await world.stores.missing_objects.all()


async def test_a_bucket_that_looks_lost_costs_no_photo() -> None:
    """If over half of a page's photos lack objects, the bucket is probably the wrong one."""
    world = CleaningWorld()
    photos = [await world.ready_photo() for _ in range(SUSPICIOUS_MIN)]
    for photo in photos:
        await lose(world, photo, NAMES, original=True)
    reports = []
    for _ in range(3):
        reports.append(await world.clean())
        world.now_ms += DAY_MS

    assert [1, 1, 1] == [len(report.held) for report in reports]
    assert not any([await is_deleted(world, photo) for photo in photos])
    assert {} == await world.stores.missing_objects.all()


async def test_a_walk_goes_on_where_the_last_run_ended() -> None:
    """Each run scans a few photos; after the end it starts from the beginning again."""
    world = CleaningWorld(page_max=2)
    world.settings = world.settings.model_copy(update={"cleaning_photos_max": 3})
    photos = [await world.ready_photo() for _ in range(6)]
    for photo in photos:
        await lose(world, photo, ["large"])

    asked = []
    for _ in range(3):
        await world.clean()
        asked.append(len(world.tasks.asked))

    assert [4, 6, 10] == asked
    assert "" != await world.stores.cleaning_positions.position(CleaningScan.PHOTOS)


async def losses(world: CleaningWorld) -> tuple[list[PhotoId], list[PhotoId], list[PhotoId]]:
    """Return whole photos, repairable ones, and lost ones that were noted a day ago."""
    photos = [await world.ready_photo() for _ in range(9)]
    whole, mendable, gone = photos[:3], photos[3:6], photos[6:]
    for photo in gone:
        await lose(world, photo, NAMES, original=True)
    await world.clean()
    world.now_ms += DAY_MS
    for photo in mendable:
        await lose(world, photo, ["small", "large"])
    return whole, mendable, gone


async def assert_settled(
    world: CleaningWorld, photos: tuple[list[PhotoId], list[PhotoId], list[PhotoId]]
) -> None:
    whole, mendable, gone = photos
    rows = await world.stores.photos.get([*whole, *mendable, *gone])

    assert {*gone} == {photo for photo, row in rows.items() if row.deleted}
    assert {*mendable} == {task.photo_id for _, task in world.tasks.asked if isinstance(task, FullTask)}
    assert all({"thumbnail", "medium"} == rows[photo].renditions.keys() for photo in mendable)
    assert all({*NAMES} == rows[photo].renditions.keys() for photo in whole)
    assert {} == await world.stores.missing_objects.all()


async def test_a_pass_may_die_at_every_call() -> None:
    """The next pass repairs and deletes what the dead pass left."""
    number, died = 0, True
    while died:
        world, died = CleaningWorld(page_max=4), False
        photos = await losses(world)

        async def at(moment: Moment, number: int = number) -> None:
            if moment.number * 2 + moment.done >= number:
                fail(moment)

        flaky = FlakyStores(world.stores, at)
        job = world.job(flaky.stores)
        job.outbox = flaky.around("outbox", world.tasks)
        try:
            await job.run_once(world.now_ms)
        except StoreUnavailable:
            died = True
        await world.clean()

        await assert_settled(world, photos)
        number += 1
    assert number > 100


@pytest.mark.parametrize("seed", range(10))
async def test_two_clean_at_once(seed: int) -> None:
    """Both may queue the same task; handling it twice has the effect of handling it once."""
    world, chosen = CleaningWorld(), random.Random(seed)
    photos = await losses(world)

    async def at(moment: Moment) -> None:
        for _ in range(chosen.randrange(4)):
            await pause()

    jobs = [world.job(FlakyStores(world.stores, at).stores) for _ in range(2)]
    await asyncio.gather(*(job.run_once(world.now_ms) for job in jobs))

    await assert_settled(world, photos)
