"""Uploads whose process dies or whose store fails at any one call: whole or nothing."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field

import pytest

from api.services import UploadService
from api.uploads.inputs import Wanted
from api.uploads.lifecycle import enter, undo, upload_of
from schemas.ids import PhotoId, UserId
from streams.core.uploads import Upload
from streams.errors import StoreUnavailable
from tests.worlds.api import World
from tests.worlds.flaky_stores import Moment, failing_at, pause
from tests.worlds.uploading import (
    ME,
    NewWorld,
    Uploader,
    clean,
    object_key,
    objects,
    own_photos,
    published,
    rows,
    through,
    together,
    unfinished_parts,
    uploading,
    world_maker,
)

pytestmark = pytest.mark.anyio

LARGE = bytes(range(25))


@pytest.fixture(scope="module")
def new_world() -> NewWorld:
    return world_maker()


class Killed(BaseException):
    """The process has ended: nothing of it goes on."""


@dataclass(slots=True)
class KillAt:
    """Ends the process at a moment: that call and all later ones do not happen, or happen unseen."""

    number: int
    done: bool
    killed: bool = field(default=False)

    async def __call__(self, moment: Moment) -> None:
        if self.killed or (moment.number == self.number and moment.done is self.done):
            self.killed = True
            raise Killed


Request = Callable[[Uploader], Awaitable[object]]


async def _killed(world: World, ask: Request, kill: KillAt) -> bool:
    """Ask of a process that is killed; whether it was before it answered."""
    through(world, kill)
    async with uploading(world) as me:
        try:
            await ask(me)
        except Killed:
            return True
    return kill.killed


@pytest.mark.law("L10")
@pytest.mark.parametrize("done", [False, True])
@pytest.mark.parametrize("content", [b"12345", LARGE])
async def test_a_body_whose_process_died_anywhere_is_one_photo_when_repeated(
    new_world: NewWorld, content: bytes, done: bool
) -> None:
    """Killed at every call of a store or of Kafka, then repeated with its key: exactly one photo."""
    moments = 0
    for number in range(100):
        world = await new_world()
        if not await _killed(world, lambda me: me.send(content, key="k"), KillAt(number, done)):
            break
        moments += 1
        through(world, together)
        async with uploading(world) as me:
            answer = await me.send(content, key="k")
        photo = answer.json()["photo_id"]
        await clean(world)

        assert answer.status_code == 202, number
        assert await own_photos(world) == [int(photo)], number
        assert await objects(world) == [object_key(world, photo)], number
        assert (await rows(world), await unfinished_parts(world)) == ([], []), number
    assert moments >= 12


@pytest.mark.law("L10")
@pytest.mark.parametrize("done", [False, True])
@pytest.mark.parametrize("content", [b"12345", LARGE])
async def test_a_body_whose_process_died_anywhere_is_one_photo_or_nothing(
    new_world: NewWorld, content: bytes, done: bool
) -> None:
    """Without a key nobody repeats it: what is left is finished or removed by the cleaning."""
    photos: set[int] = set()
    for number in range(100):
        world = await new_world()
        if not await _killed(world, lambda me: me.send(content), KillAt(number, done)):
            break
        await clean(world)
        own = await own_photos(world)
        photos.add(len(own))

        assert await objects(world) == [object_key(world, photo) for photo in own], number
        assert (await rows(world), await unfinished_parts(world)) == ([], []), number
        assert [photo for photo in published(world) if photo not in own] == [], number
    assert photos == {0, 1}


@pytest.mark.law("L10")
@pytest.mark.parametrize("done", [False, True])
@pytest.mark.parametrize("content", [b"12345", LARGE])
async def test_a_signed_upload_whose_process_died_anywhere_goes_on(
    new_world: NewWorld, content: bytes, done: bool
) -> None:
    """Killed at every call while it starts or completes, then repeated: exactly one photo."""

    async def all_of_it(me: Uploader) -> None:
        started = await me.start(len(content), key="k")
        assert started.status_code == 201
        upload = started.json()["upload"]
        if "parts" in upload:
            await me.put_parts(upload, content)
        else:
            assert await me.put(upload, content) in (200, 412)
        assert (await me.complete(started.json()["photo_id"])).status_code == 202

    moments = 0
    for number in range(100):
        world = await new_world()
        if not await _killed(world, all_of_it, KillAt(number, done)):
            break
        moments += 1
        through(world, together)
        async with uploading(world) as me:
            await all_of_it(me)
        await clean(world)
        (photo,) = await own_photos(world)

        assert await world.stores.media_objects.read(object_key(world, photo), bytes_max=99) == content, (
            number
        )
        assert await objects(world) == [object_key(world, photo)], number
        assert (await rows(world), await unfinished_parts(world)) == ([], []), number
    assert moments >= 12


@pytest.mark.parametrize("done", [False, True])
async def test_a_delete_whose_process_died_anywhere_is_repeated(new_world: NewWorld, done: bool) -> None:
    """Before completion: killed at every call, then repeated: 204, and nothing remains."""
    moments = 0
    for number in range(100):
        world = await new_world()
        async with uploading(world) as me:
            started = (await me.start(len(LARGE))).json()
            await me.put_parts(started["upload"], LARGE)
        path = f"/v1/photos/{started['photo_id']}"
        if not await _killed(world, lambda me, path=path: me.http.delete(path), KillAt(number, done)):  # type: ignore[misc]
            break
        moments += 1
        through(world, together)
        async with uploading(world) as me:
            repeated = (await me.http.delete(path)).status_code

        assert repeated == 204, number
        assert (await rows(world), await objects(world), await unfinished_parts(world)) == ([], [], []), (
            number
        )
        assert await world.stores.photos.has_tombstone(PhotoId(int(started["photo_id"])), UserId(ME)), number
    assert moments >= 6


@pytest.mark.law("L10")
@pytest.mark.parametrize("content", [b"12345", LARGE])
@pytest.mark.parametrize("key", [None, "k"])
async def test_a_body_that_any_one_call_fails_is_whole_or_nothing(
    new_world: NewWorld, content: bytes, key: str | None
) -> None:
    """One call does not answer, done or not: 503 and nothing is left, or 202 and the photo is there."""
    for done in (False, True):
        for number in range(100):
            world = await new_world()
            flaky = through(world, failing_at(number, done=done))
            async with uploading(world) as me:
                answer = await me.send(content, key=key)
            if len(flaky.moments) <= number * 2:
                break
            await clean(world)
            own = await own_photos(world)
            what = (number, done, flaky.moments[-1])

            assert answer.status_code in (202, 503), what
            if answer.status_code == 202:
                assert own == [int(answer.json()["photo_id"])], what
            else:
                assert len(own) <= (key is not None), what
            assert await objects(world) == [object_key(world, photo) for photo in own], what


async def test_a_request_that_fails_beside_another_with_its_key_makes_no_room(new_world: NewWorld) -> None:
    """What both counted as one is not given back: otherwise anybody could upload without a limit."""
    world = await new_world()
    async with uploading(world) as me:

        async def with_a_failure_meanwhile() -> AsyncIterator[bytes]:
            yield b"123"
            assert (await me.send(b"", b"", key="k")).status_code == 422
            yield b"45"

        headers = {"Content-Type": "image/jpeg", "Idempotency-Key": "k"}
        answer = await me.http.post("/v1/photos", content=with_a_failure_meanwhile(), headers=headers)
        others = [(await me.start(5)).status_code for _ in range(5)]

    assert (answer.status_code, others) == (202, [201] * 4 + [429])


@pytest.mark.law("L1")
@pytest.mark.parametrize("done", [False, True])
@pytest.mark.parametrize("failing", ["publish", "enter", "insert", "is_buried", "complete"])
async def test_no_acknowledged_photo_is_taken_back(new_world: NewWorld, failing: str, done: bool) -> None:
    """One of several with a key fails and takes its upload back, while another finishes it: one of them wins.

    Law: no lost post: what anybody was told is there, is there.
    """
    for lead in range(40):
        world = await new_world()
        failures = iter([False] * (lead % 3) + [True] + [False] * 1_000)

        async def at(moment: Moment, failures: Iterator[bool] = failures) -> None:
            await pause()
            if moment.operation == failing and moment.done is done and next(failures):
                raise StoreUnavailable(moment.store, moment.operation, "a test said so")

        through(world, at)
        async with uploading(world) as me:

            async def send(after: int, me: Uploader = me) -> tuple[int, str]:
                for _ in range(after):
                    await pause()
                answer = await me.send(b"12345", key="k")
                return answer.status_code, answer.json().get("photo_id", "")

            answers = await asyncio.gather(send(0), send(lead), send(2 * lead))
        await clean(world)
        own = await own_photos(world)
        acknowledged = {int(photo) for status, photo in answers if status == 202}

        assert {status for status, _ in answers} <= {202, 410, 503}, (lead, answers)
        assert acknowledged <= set(own), (lead, answers)
        assert len(own) <= 1, (lead, answers)
        assert await objects(world) == [object_key(world, photo) for photo in own], lead


async def _completed(world: World) -> Upload:
    """A body whose key is claimed and whose bytes are there; its request has died before it published."""
    photo = await world.services.uploads.ids.mint()
    upload = upload_of(world.services.uploads, UserId(ME), photo, Wanted("image/jpeg", "", None))
    await world.memory.media_objects.put(upload.object_key, b"12345", content_type="image/jpeg")
    await world.memory.uploads.insert(upload)
    await world.memory.uploads.complete(photo)
    stands = await world.memory.uploads.get(photo)
    assert stands is not None
    return stands


@pytest.mark.law("L1")
@pytest.mark.parametrize("done", [False, True])
@pytest.mark.parametrize("slow", ["enter", "undo"])
async def test_of_entering_and_undoing_one_wins(new_world: NewWorld, slow: str, done: bool) -> None:
    """The one is carried out whole at every moment of the other. What is acknowledged stays.

    Law: no lost post.
    """
    wins = set()
    for number in range(100):
        world = await new_world()
        upload = await _completed(world)
        plain, answers = world.services.uploads, dict[str, bool]()

        async def other(
            world: World = world,
            upload: Upload = upload,
            plain: UploadService = plain,
            answers: dict[str, bool] = answers,
        ) -> None:
            if slow == "enter":
                answers["undone"] = await undo(plain, upload, "k")
            else:
                answers["entered"] = await enter(plain, upload)

        async def at(
            moment: Moment, number: int = number, other: Callable[[], Awaitable[None]] = other
        ) -> None:
            if moment.number == number and moment.done is done:
                await other()

        through(world, at)
        if slow == "enter":
            answers["entered"] = await enter(world.services.uploads, upload)
        else:
            answers["undone"] = await undo(world.services.uploads, upload, "k")
        if len(answers) < 2:
            break
        wins.add(answers["entered"])
        own = [int(upload.photo_id)] if answers["entered"] else []

        assert answers["undone"] is not answers["entered"], (number, answers)
        assert await own_photos(world) == own, number
        assert await objects(world) == [upload.object_key] * len(own), number
        assert await rows(world) == [], number
    assert wins == {True, False}
