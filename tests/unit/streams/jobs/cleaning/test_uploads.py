"""The cleaning ends abandoned uploads, even if it is killed; active ones are never touched."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from schemas.facts import PhotoDeleted
from schemas.ids import PhotoId, UserId
from streams.core.uploads import UploadState
from streams.errors import StoreUnavailable
from streams.jobs.cleaning.report import Inconsistency
from streams.photos.begun import photo_begun
from streams.photos.deleted import photo_deleted
from streams.renditions.removal import removal_task
from streams.uploads.entering import photo_of
from tests.worlds.abandoned import AUTHOR, LAST_PART, Half, halves, leave, remains
from tests.worlds.cleaning import DAY_MS, HOUR_MS, CleaningWorld, counts
from tests.worlds.flaky_stores import FlakyStores, Moment, fail, pause

PART = b"x" * 200
# What is left of a completed upload, which is published; of all others nothing is left.
PUBLISHED = {"object", "photo"}


async def left_alone(world: CleaningWorld, states: list[Half]) -> dict[PhotoId, Half]:
    """Begin one upload for each of `states` now, and leave it in that state."""
    made = {}
    for half in states:
        photo = world.mint()
        await leave(world.stores, world.keys, photo, half, part=PART)
        made[photo] = half
    return made


async def all_remains(world: CleaningWorld, photos: dict[PhotoId, Half]) -> dict[PhotoId, set[str]]:
    return {photo: await remains(world.stores, world.keys, photo) for photo in photos}


async def assert_ended(world: CleaningWorld, abandoned: dict[PhotoId, Half]) -> None:
    """Assert that completed uploads became photos, and that nothing is left of the others."""
    expected = {photo: PUBLISHED if half is Half.COMPLETED else set() for photo, half in abandoned.items()}

    assert expected == await all_remains(world, abandoned)
    assert {photo for photo, half in abandoned.items() if half is Half.COMPLETED} == world.events.uploaded


@pytest.mark.parametrize("seed", range(5))
async def test_of_a_hundred_abandoned_uploads_nothing_is_left_and_live_ones_stay(seed: int) -> None:
    """The abandoned uploads began an hour ago and are in every state; the others began just now."""
    world, chosen = CleaningWorld(), random.Random(seed)
    abandoned = await left_alone(world, halves(100, chosen))
    world.now_ms += HOUR_MS
    # A completed upload is active, too; `ROW_GONE` is left out, because it has no upload.
    live = await left_alone(world, [half for half in halves(50, chosen) if half is not Half.ROW_GONE])
    before = await all_remains(world, live)
    unfinished = len(abandoned) - sum(
        half in (Half.KEY_ONLY, Half.COMPLETED, Half.ROW_GONE) for half in abandoned.values()
    )

    first, second = await world.clean(), await world.clean()

    await assert_ended(world, abandoned)
    assert before == await all_remains(world, live)
    completed = sum(half is Half.COMPLETED for half in abandoned.values())
    assert (unfinished, unfinished) == counts(first)[Inconsistency.UNFINISHED_UPLOAD]
    assert (completed, completed) == counts(first)[Inconsistency.COMPLETED_UPLOAD]
    assert counts(second) == {}


async def test_an_upload_younger_than_an_hour_is_left_alone() -> None:
    """One millisecond below an hour is still too young."""
    world = CleaningWorld()
    live = await left_alone(world, [half for half in Half if half is not Half.ROW_GONE])
    before = await all_remains(world, live)
    world.now_ms += HOUR_MS - 1

    report = await world.clean()

    assert before == await all_remains(world, live)
    assert counts(report) == {}


def dies_at(number: int, *, done: bool) -> Callable[[Moment], Awaitable[None]]:
    """Return an `at` for a process that dies before call `number`, or after it if `done`."""

    async def at(moment: Moment) -> None:
        if moment.number > number or (moment.number == number and moment.done >= done):
            fail(moment)

    return at


@pytest.mark.parametrize("done", [False, True])
async def test_a_pass_may_die_at_every_call(done: bool) -> None:
    """The next passes end the uploads that the dead pass left."""
    number = calls = 0
    while number <= calls:
        world = CleaningWorld()
        abandoned = await left_alone(world, list(Half))
        world.now_ms += HOUR_MS
        live = await left_alone(world, [Half.ROW_ONLY, Half.SOME_PARTS, Half.COMPLETED])
        before = await all_remains(world, live)
        flaky = FlakyStores(world.stores, dies_at(number, done=done))
        try:
            await world.job(flaky.stores).run_once(world.now_ms)
        except StoreUnavailable:
            calls = number + 1
        for _ in range(2):
            await world.clean()

        await assert_ended(world, abandoned)
        assert before == await all_remains(world, live), number
        number += 1
    assert number > 50  # The loop reached every call of a pass, and a pass makes many.


@pytest.mark.parametrize("seed", range(20))
async def test_two_clean_at_once(seed: int) -> None:
    """Two passes at the same time give the same result, however their calls interleave."""
    world, chosen = CleaningWorld(), random.Random(seed)
    abandoned = await left_alone(world, [*Half, *Half])
    world.now_ms += HOUR_MS
    live = await left_alone(world, [Half.ROW_ONLY, Half.SOME_PARTS, Half.COMPLETED])
    before = await all_remains(world, live)

    async def at(moment: Moment) -> None:
        for _ in range(chosen.randrange(4)):
            await pause()

    for _ in range(2):
        jobs = [world.job(FlakyStores(world.stores, at).stores) for _ in range(2)]
        await asyncio.gather(*(job.run_once(world.now_ms) for job in jobs))

    await assert_ended(world, abandoned)
    assert before == await all_remains(world, live)


@pytest.mark.parametrize("half", [Half.BODY_THERE, Half.ALL_PARTS, Half.PARTS_FINISHED])
async def test_a_client_that_completes_meanwhile_is_told_the_truth(half: Half) -> None:
    """The client completes its upload at any moment of the cleaning.

    If the reply is `completed`, the photo is there; otherwise nothing of it is left.
    """
    told = set()
    number, met = 0, True
    while met:
        world = CleaningWorld()
        [photo] = await left_alone(world, [half])
        world.now_ms += HOUR_MS
        answers: list[UploadState | None] = []

        async def at(
            moment: Moment,
            world: CleaningWorld = world,
            answers: list[UploadState | None] = answers,
            at_number: int = number,
            photo: PhotoId = photo,
        ) -> None:
            if moment.number == at_number // 2 and moment.done == bool(at_number % 2):
                answers.append(await complete(world, photo))

        await world.job(FlakyStores(world.stores, at).stores).run_once(world.now_ms)
        met = bool(answers)
        for _ in range(2):
            await world.clean()

        is_completed = answers == [UploadState.COMPLETED]
        assert (PUBLISHED if is_completed else set()) == await remains(world.stores, world.keys, photo), (
            number
        )
        told.add(is_completed)
        number += 1
    assert told == {True, False}


async def complete(world: CleaningWorld, photo: PhotoId) -> UploadState | None:
    """Complete the upload as the API does for a client, but die before publishing it."""
    upload = await world.stores.uploads.get(photo)
    if upload is None:
        return None
    if upload.parts_id:
        sizes = {1: len(PART), 2: len(LAST_PART)}
        await world.stores.media_uploads.finish_parts(upload.object_key, upload.parts_id, sizes)
    if await world.stores.media_objects.size(upload.object_key) is None:
        return None
    return await world.stores.uploads.complete(photo)


async def test_an_upload_whose_photo_is_in_the_pipeline_only_loses_its_row() -> None:
    """The process that completed the upload died before it removed the row."""
    world = CleaningWorld()
    [photo] = await left_alone(world, [Half.COMPLETED])
    upload = await world.stores.uploads.get(photo)
    assert upload is not None
    await photo_begun(world.stores, photo_of(upload))
    world.now_ms += HOUR_MS

    report = await world.clean()

    assert PUBLISHED == await remains(world.stores, world.keys, photo)
    assert {Inconsistency.COMPLETED_UPLOAD: (1, 1)} == counts(report)


async def test_an_upload_whose_id_is_anothers_is_given_up() -> None:
    """The id is the other author's photo, which stays; so the upload can never be published."""
    world = CleaningWorld()
    [photo] = await left_alone(world, [Half.COMPLETED])
    upload = await world.stores.uploads.get(photo)
    assert upload is not None
    other = replace(photo_of(upload), author_id=UserId(8), object_key="apps/1.jpg")
    await world.stores.photos.insert([other])
    world.now_ms += HOUR_MS

    await world.clean()

    assert {"photo"} == await remains(world.stores, world.keys, photo)
    assert 8 == (await world.stores.photos.get([photo]))[photo].author_id


async def test_an_upload_taken_back_at_the_same_moment_is_not_published() -> None:
    """The author deletes it at any moment of the cleaning: at most its row is left, as deleted."""
    number, met = 0, True
    while met:
        world, met = CleaningWorld(), False
        [photo] = await left_alone(world, [Half.COMPLETED])
        world.now_ms += HOUR_MS

        async def at(
            moment: Moment, world: CleaningWorld = world, number: int = number, photo: PhotoId = photo
        ) -> None:
            nonlocal met
            if moment.number * 2 + moment.done == number:
                met = True
                await world.stores.uploads.take_back(photo)
                await photo_deleted(world.stores, world.tasks, PhotoDeleted(photo_id=photo, author_id=AUTHOR))

        await world.job(FlakyStores(world.stores, at).stores).run_once(world.now_ms)
        if met:
            # Carry out the removal tasks, as their consumer does.
            for task in world.tasks.removals():
                await removal_task(world.stores.media_objects, world.stores.cdn, task, world.keys)
            world.now_ms += DAY_MS
            for _ in range(2):
                await world.clean()

            rows = await world.stores.photos.get([photo])
            assert all(row.deleted for row in rows.values()), number
            assert await remains(world.stores, world.keys, photo) <= {"photo"}, number
        number += 1


async def test_young_parts_without_a_row_are_left_alone() -> None:
    """The process that began the parts may be about to write the row."""
    world = CleaningWorld()
    [photo] = await left_alone(world, [Half.ROW_GONE])
    world.now_ms += HOUR_MS - 1

    assert counts(await world.clean()) == {}
    assert {"parts"} == await remains(world.stores, world.keys, photo)


async def test_parts_of_a_live_upload_are_left_alone_whatever_the_bucket_says_of_their_age() -> None:
    """The bucket's clock may be wrong, so parts stay as long as their upload has its row."""
    world = CleaningWorld()
    photo = world.mint()
    world.now_ms -= 2 * HOUR_MS
    await leave(world.stores, world.keys, photo, Half.SOME_PARTS, part=PART)
    world.now_ms += 2 * HOUR_MS

    assert counts(await world.clean()) == {}
    assert {"row", "parts"} == await remains(world.stores, world.keys, photo)


async def test_parts_begun_late_go_with_their_upload() -> None:
    """The parts began just before the upload expired, and its row does not have their id."""
    world = CleaningWorld()
    [photo] = await left_alone(world, [Half.PARTS_NOTED])
    world.now_ms += HOUR_MS
    await world.stores.media_uploads.begin_parts(world.keys.original(photo), content_type="image/jpeg")

    await world.clean()

    assert set() == await remains(world.stores, world.keys, photo)


async def test_an_upload_whose_id_begins_like_anothers_takes_nothing_of_it() -> None:
    """Unfinished parts are listed by prefix, and one upload's key is a prefix of the other's."""
    world = CleaningWorld()
    [photo] = await left_alone(world, [Half.PARTS_NOTED])
    other = PhotoId(photo * 10 + 1)  # The id of a later year.
    await leave(world.stores, world.keys, other, Half.PARTS_NOTED, part=PART)
    world.now_ms += HOUR_MS

    await world.clean()

    assert set() == await remains(world.stores, world.keys, photo)
    assert {"row", "parts"} == await remains(world.stores, world.keys, other)


async def test_parts_under_a_name_that_is_not_ours_are_only_reported() -> None:
    """Nobody knows who began these parts, so they are not aborted."""
    world = CleaningWorld()
    strange = f"{world.keys.prefix}imports/1"
    for key in (strange, "apps/originals/1"):
        await world.stores.media_uploads.begin_parts(key, content_type="image/jpeg")
    world.now_ms += HOUR_MS

    report = await world.clean()

    assert {Inconsistency.PARTS_WITHOUT_UPLOAD: (1, 0)} == counts(report)
    assert 2 == len(await world.stores.media_uploads.unfinished(""))
