"""Over HTTP, an upload is complete or leaves nothing; `test_lifecycle_kills.py` has every case."""

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from schemas.ids import PhotoId, UserId
from tests.worlds.api import World
from tests.worlds.flaky_stores import KillAt, Killed, failing_at
from tests.worlds.uploading import (
    ME,
    NewWorld,
    Uploader,
    as_if_by_many_processes,
    clean,
    object_key,
    objects,
    own_photos,
    rows,
    through,
    together,
    unfinished_parts,
    uploading,
    world_maker,
)

LARGE = bytes(range(25))


@pytest.fixture(scope="module")
def new_world() -> NewWorld:
    return world_maker()


Request = Callable[[Uploader], Awaitable[object]]


async def _killed(world: World, ask: Request, kill: KillAt) -> bool:
    """Send the request to a process that is killed at this point. Returns whether the process was
    killed."""
    through(world, kill)
    async with uploading(world) as me:
        try:
            await ask(me)
        except Killed:
            return True
    return kill.killed


@pytest.mark.law("L10")
@pytest.mark.parametrize("done", [False, True])
async def test_a_body_whose_process_died_anywhere_is_one_photo_when_repeated(
    new_world: NewWorld, done: bool
) -> None:
    """Killed at every call of a store or of Kafka, then repeated with its key: exactly one photo.

    The repeat is sent when the lease of the key has ended.
    """
    moments = 0
    for number in range(100):
        world = await new_world()
        if not await _killed(world, lambda me: me.send(LARGE, key="k"), KillAt(number, done)):
            break
        moments += 1
        through(world, together)
        await world.later(world.settings.upload_lease_ms / 1_000)
        async with uploading(world) as me:
            answer = await me.send(LARGE, key="k")
        photo = answer.json()["photo_id"]
        await clean(world)

        assert answer.status_code == 202, number
        assert await own_photos(world) == [int(photo)], number
        assert await objects(world) == [object_key(world, photo)], number
        assert (await rows(world), await unfinished_parts(world)) == ([], []), number
    assert moments >= 12


@pytest.mark.law("L3")
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
        assert await world.stores.photos.tombstones([(PhotoId(int(started["photo_id"])), UserId(ME))]), number
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
    """Both requests count as one. If the failed one gave this count back, anybody could upload
    without a limit."""
    world = await new_world()
    as_if_by_many_processes(world)
    async with uploading(world) as me:

        async def with_a_failure_meanwhile() -> AsyncIterator[bytes]:
            yield b"123"
            assert (await me.send(b"", b"", key="k")).status_code == 422
            yield b"45"

        headers = {"Content-Type": "image/jpeg", "Idempotency-Key": "k"}
        answer = await me.http.post("/v1/photos", content=with_a_failure_meanwhile(), headers=headers)
        others = [(await me.start(5)).status_code for _ in range(5)]

    assert (answer.status_code, others) == (202, [201] * 4 + [429])
