"""Idempotency keys and races: one key is one photo, and no upload is half done."""

import asyncio

import httpx
import pytest

from tests.worlds.flaky_stores import pause
from tests.worlds.uploading import (
    OTHER,
    NewWorld,
    Uploader,
    as_if_by_many_processes,
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

LARGE = bytes(range(25))


@pytest.fixture(scope="module")
def new_world() -> NewWorld:
    return world_maker()


@pytest.mark.parametrize("size_bytes", [5, 25])
async def test_a_repeated_start_is_the_same_upload(new_world: NewWorld, size_bytes: int) -> None:
    """A repeated start returns the same photo, with new URLs and with the parts that have arrived.
    It counts once towards the limit."""
    world = await new_world()
    async with uploading(world) as me:
        first = (await me.start(size_bytes, key="k", caption="c")).json()
        world.clock.ms += 10_000
        repeats = [(await me.start(size_bytes, key="k", caption="c")) for _ in range(6)]
        shown = repeats[0].json()
        if size_bytes == 25:
            await me.put_parts(first["upload"], LARGE)
            arrived = (await me.start(size_bytes, key="k", caption="c")).json()["upload"]["parts"]
            assert [part["arrived"] for part in arrived] == [True] * 3
        others = [await me.start(size_bytes) for _ in range(5)]

    assert {(answer.status_code, answer.json()["photo_id"]) for answer in repeats} == {
        (201, first["photo_id"])
    }
    assert shown["upload"]["expires_at"] > first["upload"]["expires_at"]
    assert [answer.status_code for answer in others] == [201] * 4 + [429]


@pytest.mark.parametrize("content", [b"12345", LARGE])
async def test_a_start_repeated_after_completion_answers_as_the_first_did(
    new_world: NewWorld, content: bytes
) -> None:
    """No second upload begins. All parts are reported as arrived, so only completing is left."""
    world = await new_world()
    async with uploading(world) as me:
        started = (await me.start(len(content), key="k")).json()
        photo, upload = started["photo_id"], started["upload"]
        if "parts" in upload:
            await me.put_parts(upload, content)
        else:
            await me.put(upload, content)
        await me.complete(photo)
    world.clock.ms += 2 * 3_600_000
    async with uploading(world) as me:
        repeated = await me.start(len(content), key="k")
        again = repeated.json()["upload"]
        if "parts" in again:
            assert [part["arrived"] for part in again["parts"]] == [True] * 3
        else:
            assert await me.put(again, b"54321") == 412
        completed = await me.complete(photo)

    assert (repeated.status_code, repeated.json()["photo_id"], completed.status_code) == (201, photo, 202)
    assert set(again) == set(upload)
    assert await world.stores.media_objects.read(object_key(world, photo), bytes_max=99) == content
    assert await rows(world) == []


@pytest.mark.parametrize("content", [b"12345", LARGE])
async def test_a_repeated_body_is_the_same_photo(new_world: NewWorld, content: bytes) -> None:
    """If the bytes are the same, nothing is stored, published or counted again."""
    world = await new_world()
    async with uploading(world) as me:
        answers = [await me.send(content, key="k", caption="c") for _ in range(7)]
        others = [(await me.send(b"1")).status_code for _ in range(5)]

    assert {(answer.status_code, answer.json()["photo_id"]) for answer in answers} == {
        (202, answers[0].json()["photo_id"])
    }
    assert others == [202] * 4 + [429]
    assert len(await own_photos(world)) == len(await objects(world)) == 5


async def test_a_key_with_another_request_is_refused(new_world: NewWorld) -> None:
    """The response is 422 if length, type, caption, bytes or the kind of upload differ from the
    first request. Nothing is stored or counted."""
    world = await new_world()
    async with uploading(world) as me:
        signed = await me.start(5, key="s", caption="c")
        body = await me.send(b"12345", key="b", caption="c")
        others = [
            await me.start(6, key="s", caption="c"),
            await me.start(5, key="s", caption="d"),
            await me.start(5, key="s", caption="c", content_type="image/png"),
            await me.send(b"12345", key="s", caption="c"),
            await me.send(b"12346", key="b", caption="c"),
            await me.send(b"12345", key="b"),
            await me.send(b"12345", key="b", caption="c", content_type="image/png"),
            await me.start(5, key="b", caption="c"),
        ]
        room = [(await me.start(5)).status_code for _ in range(4)]

    assert [answer.status_code for answer in others] == [422] * 8
    assert all("Idempotency-Key" in answer.json()["detail"] for answer in others)
    assert (signed.status_code, body.status_code, room) == (201, 202, [201] * 3 + [429])
    assert len(await objects(world)) == 1


async def test_a_key_is_one_users_own_for_a_day(new_world: NewWorld) -> None:
    """The same key from another user is another photo. One day later, the key of the same user is
    also another photo."""
    world = await new_world()
    async with uploading(world) as me, uploading(world, OTHER) as other:
        photos = [(await user.send(b"1", key="k")).json()["photo_id"] for user in (me, other)]
        world.clock.ms += 86_400_000 - 1
        async with uploading(world) as still:
            photos.append((await still.send(b"1", key="k")).json()["photo_id"])
        world.clock.ms += 1
        async with uploading(world) as later:
            photos.append((await later.send(b"1", key="k")).json()["photo_id"])

    assert photos[2] == photos[0]
    assert len(set(photos)) == 3


async def test_a_key_whose_upload_has_ended_cannot_begin_another(new_world: NewWorld) -> None:
    """If the upload was not completed in time or was deleted, its key gets 410. With another key a
    new upload can begin."""
    world = await new_world()
    async with uploading(world) as me:
        deleted = (await me.start(5, key="deleted")).json()["photo_id"]
        await me.http.delete(f"/v1/photos/{deleted}")
        body = (await me.send(b"12345", key="body")).json()["photo_id"]
        await me.http.delete(f"/v1/photos/{body}")
        await me.start(5, key="late")
        world.clock.ms += 3_600_000
        late = await me.start(5, key="late")
        await clean(world)
        answers = [
            late,
            await me.start(5, key="late"),
            await me.start(5, key="deleted"),
            await me.send(b"12345", key="body"),
        ]
        new = await me.start(5, key="new")

    assert ([answer.status_code for answer in answers], new.status_code) == ([410] * 4, 201)


@pytest.mark.law("L10")
@pytest.mark.parametrize("way", ["signed", "parts", "body", "body in parts"])
@pytest.mark.parametrize("requests", [2, 8])
async def test_racing_requests_with_one_key_are_one_photo(
    new_world: NewWorld, way: str, requests: int
) -> None:
    """All are answered alike, whatever comes first; it counts once, and nothing of the losers remains."""
    world = await new_world()
    through(world, together)
    as_if_by_many_processes(world)
    content = b"12345" if way in ("signed", "body") else LARGE
    async with uploading(world) as me:

        async def ask() -> tuple[int, str]:
            begin = (
                me.start(len(content), key="k") if way in ("signed", "parts") else me.send(content, key="k")
            )
            answer = await begin
            return answer.status_code, answer.json().get("photo_id", answer.text)

        answers = await asyncio.gather(*(ask() for _ in range(requests)))
        others = [(await me.start(5)).status_code for _ in range(5)]
    status, photo = answers[0]

    assert answers == [(status, photo)] * requests
    assert status == (201 if way in ("signed", "parts") else 202)
    assert others == [201] * 4 + [429]
    if status == 202:
        assert (published(world), await own_photos(world)) == ([int(photo)], [int(photo)])
        assert await objects(world) == [object_key(world, photo)]
    left = await unfinished_parts(world)
    assert left == ([object_key(world, photo)] if way == "parts" else [])
    assert len([row for row in await rows(world) if str(row.photo_id) == photo]) == (status == 201)
    assert len(await rows(world)) == 4 + (status == 201)


@pytest.mark.law("L10")
@pytest.mark.parametrize("way", ["signed", "body"])
async def test_racing_requests_with_one_key_and_other_bodies_are_one_photo(
    new_world: NewWorld, way: str
) -> None:
    """One wins; the others get 422, because the key is claimed for another request."""
    world = await new_world()
    through(world, together)
    as_if_by_many_processes(world)
    async with uploading(world) as me:

        async def ask(number: int) -> int:
            begin = me.start(number + 1, key="k") if way == "signed" else me.send(b"%d" % number, key="k")
            return (await begin).status_code

        statuses = await asyncio.gather(*(ask(number) for number in range(4)))
        others = [(await me.start(5)).status_code for _ in range(5)]

    assert sorted(statuses) == [201 if way == "signed" else 202, 422, 422, 422]
    assert others == [201] * 4 + [429]
    assert len(published(world)) == len(await objects(world)) == (way == "body")


@pytest.mark.law("L10")
@pytest.mark.parametrize("way", ["signed", "body"])
async def test_one_request_with_a_key_runs_at_a_time(new_world: NewWorld, way: str) -> None:
    """The others are 409 at once, as the draft of the header says, and may be repeated. Another key, and
    the same key of another user, are not held up."""
    world = await new_world()
    through(world, together)
    async with uploading(world) as me, uploading(world, OTHER) as other:

        async def ask(user: Uploader, key: str) -> httpx.Response:
            return await (user.start(5, key=key) if way == "signed" else user.send(b"12345", key=key))

        asked = [(me, "k"), (me, "k"), (me, "k"), (me, "l"), (other, "k")]
        answers = await asyncio.gather(*(ask(user, key) for user, key in asked))
        repeated = await ask(me, "k")
    done = 201 if way == "signed" else 202

    assert [answer.status_code for answer in answers] == [done, 409, 409, done, done]
    assert "Idempotency-Key is under way" in answers[1].json()["detail"]
    assert (repeated.status_code, repeated.json()["photo_id"]) == (done, answers[0].json()["photo_id"])


async def test_racing_completions_are_one_photo(new_world: NewWorld) -> None:
    """All concurrent completions return 202, and the object is complete."""
    world = await new_world()
    through(world, together)
    async with uploading(world) as me:
        started = (await me.start(len(LARGE))).json()
        await me.put_parts(started["upload"], LARGE)
        answers = await asyncio.gather(*(me.complete(started["photo_id"]) for _ in range(6)))

    assert [answer.status_code for answer in answers] == [202] * 6
    assert await own_photos(world) == [int(started["photo_id"])]
    assert (
        await world.stores.media_objects.read(object_key(world, started["photo_id"]), bytes_max=99) == LARGE
    )


@pytest.mark.law("L3")
async def test_a_delete_that_races_with_the_completion_wins_in_the_end(new_world: NewWorld) -> None:
    """Law: delete and upload cannot miss each other: after an acknowledged delete it is not shown."""
    for lead in range(24):
        world = await new_world()
        async with uploading(world) as me:
            photo = await me.begun(b"12345")
        through(world, together)
        async with uploading(world) as me:

            async def delete(after: int = lead, me: Uploader = me, photo: str = photo) -> int:
                for _ in range(after):
                    await pause()
                return (await me.http.delete(f"/v1/photos/{photo}")).status_code

            completed, deleted = await asyncio.gather(me.complete(photo), delete())
            await clean(world)
            shown = await me.http.get(f"/v1/photos/{photo}")
            again = await me.complete(photo)

        assert (completed.status_code in (202, 404), deleted) == (True, 204), lead
        assert (shown.status_code, again.status_code, await own_photos(world)) == (404, 404, []), lead
