"""Uploads whose process dies or whose store fails at any one call: an upload is whole or nothing."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest
from prometheus_client import REGISTRY

from schemas.ids import PhotoId
from streams.core.uploads import RequestedUpload, Upload, UploadState
from streams.errors import StoreUnavailable
from streams.uploads.errors import NotAllThere, NothingLikeThat, TakenBack, UploadEnded
from streams.uploads.intake import UploadIntake
from streams.uploads.lifecycle import UploadLifecycle
from streams.uploads.sending import SendingPlan
from tests.worlds.flaky_stores import KillAt, Killed, Moment, fail, failing_at, pause
from tests.worlds.intake import ME, IntakeWorld

SMALL, LARGE = b"12345", bytes(range(25))


Action = Callable[[IntakeWorld], Awaitable[object]]


async def was_killed(world: IntakeWorld, act: Action, kill: KillAt) -> bool:
    """Run `act` in a process that `kill` kills; return False if it ended before the kill."""
    world.through(kill)
    try:
        await act(world)
    except Killed:
        return True
    return kill.killed


async def start_and_complete(world: IntakeWorld, content: bytes, key: str | None) -> PhotoId:
    photo, plan = await world.start(len(content), key)
    await world.put(plan, content)
    await world.intake.complete(ME, photo)
    return photo


@pytest.mark.law("L10")
@pytest.mark.parametrize("done", [False, True])
@pytest.mark.parametrize("content", [SMALL, LARGE])
async def test_a_body_whose_process_died_anywhere_is_one_photo_when_repeated(
    content: bytes, done: bool
) -> None:
    """Killed at every call of a store or of Kafka, then repeated with its key: exactly one photo."""
    moments = 0
    for number in range(100):
        world = IntakeWorld()
        if not await was_killed(world, lambda world: world.send(content, key="k"), KillAt(number, done)):
            break
        moments += 1
        world.through(together)
        photo = await world.send(content, key="k")
        await world.clean()

        await world.assert_holds([photo], number)
    assert moments >= 12


@pytest.mark.law("L10")
@pytest.mark.parametrize("done", [False, True])
@pytest.mark.parametrize("content", [SMALL, LARGE])
async def test_a_body_whose_process_died_anywhere_is_one_photo_or_nothing(content: bytes, done: bool) -> None:
    """Law: an upload is whole or nothing. Without a key, the cleaning enters or removes what is left."""
    photos: set[int] = set()
    for number in range(100):
        world = IntakeWorld()
        if not await was_killed(world, lambda world: world.send(content), KillAt(number, done)):
            break
        await world.clean()
        own = await world.own_photos()
        photos.add(len(own))

        await world.assert_holds(own, number)
        assert world.published() <= set(own), number
    assert photos == {0, 1}


@pytest.mark.law("L10")
@pytest.mark.parametrize("done", [False, True])
@pytest.mark.parametrize("key", [None, "k"])
@pytest.mark.parametrize("content", [SMALL, LARGE])
async def test_a_signed_upload_whose_process_died_anywhere_is_one_photo_or_nothing(
    content: bytes, key: str | None, done: bool
) -> None:
    """Law: an upload is whole or nothing. Nobody repeats it; the cleaning ends it."""
    photos: set[int] = set()
    for number in range(100):
        world = IntakeWorld()
        act = lambda world: start_and_complete(world, content, key)  # noqa: E731  # Shorter than a function.
        if not await was_killed(world, act, KillAt(number, done)):
            break
        await world.clean()
        own = await world.own_photos()
        photos.add(len(own))

        await world.assert_holds(own, number)
    assert photos == {0, 1}


@pytest.mark.law("L10")
@pytest.mark.parametrize("done", [False, True])
@pytest.mark.parametrize("content", [SMALL, LARGE])
async def test_a_signed_upload_whose_process_died_anywhere_goes_on(content: bytes, done: bool) -> None:
    """Killed at every call while it starts or completes, then repeated: exactly one photo, whole."""
    moments = 0
    for number in range(100):
        world = IntakeWorld()
        act = lambda world: start_and_complete(world, content, "k")  # noqa: E731  # Shorter than a function.
        if not await was_killed(world, act, KillAt(number, done)):
            break
        moments += 1
        world.through(together)
        photo = await start_and_complete(world, content, "k")
        await world.clean()
        [key] = await world.objects()

        await world.assert_holds([photo], number)
        assert await world.memory.media_objects.read(key, bytes_max=99) == content, number
    assert moments >= 12


@pytest.mark.law("L3")
@pytest.mark.parametrize("done", [False, True])
async def test_a_withdrawal_whose_process_died_anywhere_is_repeated(done: bool) -> None:
    """Killed at every call, then repeated: nothing remains, and the id stays deleted."""
    moments = 0
    for number in range(100):
        world = IntakeWorld()
        photo, plan = await world.start(len(LARGE))
        await world.put(plan, LARGE)
        act = lambda world, photo=photo: world.intake.lifecycle.withdraw(ME, photo)  # noqa: E731
        if not await was_killed(world, act, KillAt(number, done)):
            break
        moments += 1
        world.through(together)
        is_withdrawn = await world.intake.lifecycle.withdraw(ME, photo)

        assert is_withdrawn, number
        await world.assert_holds([], number)
        assert await world.memory.photos.tombstones([(photo, ME)]), number
    assert moments >= 6


@pytest.mark.law("L10")
@pytest.mark.parametrize("state", [None, UploadState.COMPLETED, UploadState.ABORTED])
@pytest.mark.parametrize("done", [False, True])
async def test_an_expiry_whose_process_died_anywhere_is_repeated(
    state: UploadState | None, done: bool
) -> None:
    """Killed at every call, then cleaned again: the photo if the upload was completed, otherwise nothing."""
    moments = 0
    for number in range(100):
        world = IntakeWorld()
        upload = await upload_in(world, state)
        act = lambda world, upload=upload: world.intake.lifecycle.expire(upload)  # noqa: E731
        if not await was_killed(world, act, KillAt(number, done)):
            break
        moments += 1
        await world.clean()

        await world.assert_holds([upload.photo_id] if state is UploadState.COMPLETED else [], number)
    assert moments >= 6


@pytest.mark.law("L10")
@pytest.mark.parametrize("content", [SMALL, LARGE])
@pytest.mark.parametrize("key", [None, "k"])
async def test_a_body_that_any_one_call_fails_is_whole_or_nothing(content: bytes, key: str | None) -> None:
    """One call fails, done or not: either it raises and nothing is left, or the photo is there."""
    for done in (False, True):
        for number in range(100):
            world = IntakeWorld()
            flaky = world.through(failing_at(number, done=done))
            photo = None
            with suppress(StoreUnavailable):
                photo = await world.send(content, key=key)
            if len(flaky.moments) <= number * 2:
                break
            await world.clean()
            own = await world.own_photos()
            what = (number, done, flaky.moments[-1])

            if photo is not None:
                assert own == [photo], what
            else:
                assert len(own) <= (key is not None), what
            await world.assert_holds(own, what)


def completed() -> float:
    return REGISTRY.get_sample_value("shutterline_uploads_completed_total", {"mode": "body"}) or 0.0


@pytest.mark.parametrize("done", [False, True])
async def test_an_upload_that_any_one_call_fails_is_counted_once(done: bool) -> None:
    """The client repeats it with its key. Only where the database's answer to the last step is lost, nobody
    knows who removed the row, and nobody counts it."""
    for number in range(100):
        world, before = IntakeWorld(), completed()
        flaky = world.through(failing_at(number, done=done))
        with suppress(StoreUnavailable):
            await world.send(SMALL, key="k")
        if len(flaky.moments) <= number * 2:
            break
        moment = next(moment for moment in flaky.moments if (moment.number, moment.done) == (number, done))
        world.through(together)
        await asyncio.gather(*(world.send(SMALL, key="k") for _ in range(2)))

        if (moment.store, moment.operation, done) != ("uploads", "enter", True):
            assert before + 1 == completed(), moment
    assert number > 10


async def upload_in(world: IntakeWorld, state: UploadState | None) -> Upload:
    """Store an upload with all its bytes in `state` (None: still uploading); its process died."""
    photo, uploads = await world.mint(), world.memory.uploads
    upload = world.intake.lifecycle.lookup.new_upload(ME, photo, RequestedUpload("image/jpeg", "", None))
    await world.memory.media_objects.put(upload.object_key, SMALL, content_type="image/jpeg")
    await uploads.insert(upload)
    if state is UploadState.COMPLETED:
        await uploads.complete(photo)
    elif state is UploadState.ABORTED:
        await uploads.abort(photo)
    stored = await uploads.get(photo)
    assert stored is not None
    return stored


async def together(moment: Moment) -> None:
    """Suspend before and after every call, so that concurrent tasks take turns."""
    await pause()


@pytest.mark.law("L1")
@pytest.mark.parametrize("done", [False, True])
@pytest.mark.parametrize("failing", ["publish", "enter", "insert", "tombstones", "complete"])
async def test_no_acknowledged_photo_is_taken_back(failing: str, done: bool) -> None:
    """One of several with a key fails and undoes its upload, while another completes it: one of them wins.

    Law: no lost post. A photo that anybody was told of stays.
    """
    failed = 0
    for lead in range(40):
        world = IntakeWorld()
        failures = [False] * (lead % 3) + [True]

        async def at(moment: Moment, failures: list[bool] = failures) -> None:
            nonlocal failed
            await pause()
            if moment.operation == failing and moment.done is done and failures and failures.pop(0):
                failed += 1
                raise StoreUnavailable(moment.store, moment.operation, "a test said so")

        world.through(at)

        async def send(after: int, world: IntakeWorld = world) -> PhotoId | None:
            for _ in range(after):
                await pause()
            try:
                return await world.send(SMALL, key="k")
            except (StoreUnavailable, TakenBack, UploadEnded):
                return None

        answers = await asyncio.gather(send(0), send(lead), send(2 * lead))
        await world.clean()
        own = await world.own_photos()

        assert {photo for photo in answers if photo is not None} <= set(own), (lead, answers)
        assert len(own) <= 1, (lead, answers)
        await world.assert_holds(own, lead)
    assert failed >= 10


@pytest.mark.law("L1")
@pytest.mark.parametrize("done", [False, True])
@pytest.mark.parametrize("slow", ["enter", "undo"])
async def test_of_entering_and_undoing_one_wins(slow: str, done: bool) -> None:
    """One is carried out whole at every moment of the other. What is acknowledged stays.

    Law: no lost post.
    """
    wins = set()
    for number in range(100):
        world = IntakeWorld()
        upload = await upload_in(world, UploadState.COMPLETED)
        plain, answers = world.intake.lifecycle, dict[str, bool]()

        async def run(
            name: str,
            lifecycle: UploadLifecycle,
            upload: Upload = upload,
            answers: dict[str, bool] = answers,
        ) -> None:
            if name == "enter":
                answers[name] = await lifecycle.enter(upload)
            else:
                answers[name] = await lifecycle.undo(upload, "k")

        async def at(
            moment: Moment,
            number: int = number,
            run: Callable[[str, UploadLifecycle], Awaitable[None]] = run,
            plain: UploadLifecycle = plain,
        ) -> None:
            if moment.number == number and moment.done is done:
                await run("undo" if slow == "enter" else "enter", plain)

        world.through(at)
        await run(slow, world.intake.lifecycle)
        if len(answers) < 2:
            break
        wins.add(answers["enter"])

        assert answers["undo"] is not answers["enter"], (number, answers)
        await world.assert_holds([upload.photo_id] if answers["enter"] else [], number)
    assert wins == {True, False}


@pytest.mark.law("L3")
@pytest.mark.parametrize("done", [False, True])
async def test_a_withdrawal_and_a_completion_cannot_miss_each_other(done: bool) -> None:
    """The withdrawal is carried out whole at every moment of the completion.

    Law: delete and upload cannot miss each other. Either the withdrawal says that there is a photo
    to be deleted, or nothing remains and the completion says so.
    """
    told = set()
    for number in range(100):
        world = IntakeWorld()
        photo, plan = await world.start(len(SMALL))
        await world.put(plan, SMALL)
        plain, withdrawn = world.intake.lifecycle, list[bool]()

        async def at(
            moment: Moment,
            number: int = number,
            plain: UploadLifecycle = plain,
            withdrawn: list[bool] = withdrawn,
            photo: PhotoId = photo,
        ) -> None:
            if moment.number == number and moment.done is done:
                withdrawn.append(await plain.withdraw(ME, photo))

        world.through(at)
        try:
            await world.intake.complete(ME, photo)
            is_completed = True
        except (NothingLikeThat, NotAllThere):
            is_completed = False
        if not withdrawn:
            break
        told.add(withdrawn[0])
        await world.clean()

        if withdrawn[0]:
            assert not is_completed, number
            await world.assert_holds([], number)
            assert await world.memory.photos.tombstones([(photo, ME)]), number
    assert told == {True, False}


@pytest.mark.parametrize("done", [False, True])
@pytest.mark.parametrize("content", [SMALL, LARGE])
async def test_a_signed_upload_that_another_request_returned_is_not_undone(
    content: bytes, done: bool
) -> None:
    """A start fails at any one call, just after another start with the same key has returned.

    The upload that was returned is not undone, and becomes a photo.
    """
    moments = 0
    for number in range(100):
        world = IntakeWorld()
        plain, returned = world.intake, list[tuple[PhotoId, SendingPlan]]()

        async def at(
            moment: Moment,
            number: int = number,
            plain: UploadIntake = plain,
            returned: list[tuple[PhotoId, SendingPlan]] = returned,
        ) -> None:
            if moment.number == number and moment.done is done:
                returned.append(await plain.start(ME, RequestedUpload("image/jpeg", "", len(content)), "k"))
                fail(moment)

        world.through(at)
        with suppress(StoreUnavailable):
            await world.start(len(content), "k")
        if not returned:
            break
        moments += 1
        [(photo, plan)] = returned
        await world.put(plan, content)
        await plain.complete(ME, photo)
        await world.clean()

        await world.assert_holds([photo], number)
    assert moments >= 5
