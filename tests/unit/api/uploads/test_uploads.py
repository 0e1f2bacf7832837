"""Uploads over HTTP: how the bytes are sent, who may do what, and what is refused."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from schemas.events import EventType
from schemas.facts import PhotoUploaded
from schemas.ids import PhotoId, UserId, id_ms
from schemas.times import parse_rfc3339_us, utc_datetime
from streams.core.photos import Photo
from streams.core.uploads import UploadState
from tests.worlds.api import RENDITIONS, World, make_world
from tests.worlds.deliveries import PUSHED
from tests.worlds.uploading import (
    JPEG,
    LIMITS,
    ME,
    OTHER,
    clean,
    object_key,
    objects,
    own_photos,
    published,
    rows,
    unfinished_parts,
    uploading,
)


async def test_a_small_photo_is_put_by_one_signed_request() -> None:
    """After start, PUT and completion the photo is stored. Its author's next request shows it as
    processing."""
    world = await make_world(**LIMITS)
    async with uploading(world) as me, uploading(world, OTHER) as other:
        started = await me.start(5, caption="an evening")
        photo, upload = started.json()["photo_id"], started.json()["upload"]
        assert (started.status_code, started.headers["cache-control"]) == (201, "no-store")
        assert set(upload) == {"method", "url", "headers", "expires_at"}
        assert await me.put(upload, b"12345") == 200
        before = [(await user.http.get(f"/v1/photos/{photo}")).status_code for user in (me, other)]
        completed = await me.complete(photo)
        shown = (await me.http.get(f"/v1/photos/{photo}")).json()
        feed = (await me.http.get("/v1/feed")).json()["items"]
        listed = (await me.http.get(f"/v1/users/{ME}/photos")).json()["items"]
        others = (await other.http.get(f"/v1/photos/{photo}")).status_code

    assert before == [404, 404]
    assert (completed.status_code, completed.content) == (202, b"")
    assert (shown["status"], shown["caption"], shown["author_id"]) == ("processing", "an evening", str(ME))
    assert [item["photo_id"] for item in feed] == [item["photo_id"] for item in listed] == [photo]
    assert others == 404
    assert (await rows(world), await objects(world)) == ([], [object_key(world, photo)])


async def test_the_event_says_what_the_row_says() -> None:
    """`created_at` is always the time in the photo's id. So the row is the same, whichever process
    writes it."""
    world = await make_world(**LIMITS)
    async with uploading(world) as me:
        photo = PhotoId(int(await me.begun(b"12345")))
        await me.complete(photo)
    event = world.publisher.published[-1]
    row = (await world.stores.photos.get([photo]))[photo]

    assert (event.topic, event.key_id, event.type) == ("uploads", ME, EventType.PHOTO_UPLOADED)
    assert isinstance(event.data, PhotoUploaded)
    assert event.data.created_at == row.created_at == utc_datetime(id_ms(photo) * 1_000)
    assert event.data.object_key == row.object_key == object_key(world, photo)
    assert (event.data.content_type, event.data.renditions) == (row.content_type, None)


async def test_a_large_photo_comes_by_parts_and_goes_on_where_it_stopped() -> None:
    """The API reports which parts have arrived. The object has the parts in the order of their
    numbers."""
    world = await make_world(**LIMITS)
    body = bytes(range(25))
    async with uploading(world) as me:
        started = (await me.start(len(body))).json()
        photo, upload = started["photo_id"], started["upload"]
        assert set(upload) == {"part_bytes", "parts", "expires_at"}
        assert [(part["number"], part["arrived"]) for part in upload["parts"]] == [
            (1, False),
            (2, False),
            (3, False),
        ]
        assert await me.put(upload["parts"][1], body[10:20]) == 200
        early = await me.complete(photo)
        resumed = (await me.upload(photo)).json()["upload"]
        await me.put_parts(resumed, body)
        arrived = (await me.upload(photo)).json()["upload"]
        completed = await me.complete(photo)

    assert (early.status_code, [part["arrived"] for part in resumed["parts"]]) == (409, [False, True, False])
    assert [part["arrived"] for part in arrived["parts"]] == [True] * 3
    assert completed.status_code == 202
    assert await world.stores.media_objects.read(object_key(world, photo), bytes_max=99) == body
    assert await unfinished_parts(world) == []


@pytest.mark.parametrize(
    ("size_bytes", "parts"), [(1, None), (10, None), (11, [10, 1]), (20, [10, 10]), (45, [10] * 4 + [5])]
)
async def test_parts_are_cut_at_their_size(size_bytes: int, parts: list[int] | None) -> None:
    """A photo of at most one part's size is sent by one request. A larger one has full parts and a
    last part with the rest."""
    world = await make_world(**LIMITS)
    async with uploading(world) as me:
        upload = (await me.start(size_bytes)).json()["upload"]

    if parts is None:
        assert upload["headers"]["Content-Length"] == str(size_bytes)
    else:
        assert [int(part["headers"]["Content-Length"]) for part in upload["parts"]] == parts
        assert upload["part_bytes"] == 10


async def test_the_image_itself_may_be_the_body() -> None:
    """With the 202, the bytes are in the bucket, the event is published, and the author sees the
    photo as processing."""
    world = await make_world(**LIMITS)
    async with uploading(world) as me:
        answer = await me.send(b"12345", caption="über 100 % + mehr")
        photo = answer.json()["photo_id"]
        shown = (await me.http.get(f"/v1/photos/{photo}")).json()

    assert (answer.status_code, set(answer.json())) == (202, {"photo_id"})
    assert (shown["status"], shown["caption"]) == ("processing", "über 100 % + mehr")
    assert await world.stores.media_objects.read(object_key(world, photo), bytes_max=99) == b"12345"
    assert (published(world), await rows(world)) == ([int(photo)], [])


@pytest.mark.parametrize("size_bytes", [1, 9, 10, 11, 20, 21, 45])
@pytest.mark.parametrize("piece_bytes", [1, 7, 10, 45])
async def test_a_body_in_pieces_is_stored_whole(size_bytes: int, piece_bytes: int) -> None:
    """For any size of the body and of its pieces, the object has the same bytes, and no unfinished
    parts remain."""
    world = await make_world(**LIMITS)
    body = bytes(range(size_bytes))
    chunks = [body[start : start + piece_bytes] for start in range(0, size_bytes, piece_bytes)]
    async with uploading(world) as me:
        answer = await me.send(*chunks, b"")

    assert answer.status_code == 202
    assert (
        await world.stores.media_objects.read(object_key(world, answer.json()["photo_id"]), bytes_max=99)
        == body
    )
    assert await unfinished_parts(world) == []


@pytest.mark.parametrize("body", ["small", "parts"])
async def test_completing_may_be_repeated(body: str) -> None:
    """Every completion returns 202, also when the photo is ready. There is one photo, and its bytes
    stay."""
    world = await make_world(**LIMITS)
    content = b"12345" if body == "small" else bytes(range(25))
    async with uploading(world) as me:
        started = (await me.start(len(content))).json()
        photo, upload = started["photo_id"], started["upload"]
        if body == "small":
            await me.put(upload, content)
        else:
            await me.put_parts(upload, content)
        statuses = [(await me.complete(photo)).status_code for _ in range(2)]
        await world.stores.photos.mark_ready({PhotoId(int(photo)): RENDITIONS}, {PhotoId(int(photo)): PUSHED})
        statuses.append((await me.complete(photo)).status_code)
        over = (await me.upload(photo)).status_code

    assert (statuses, over) == ([202] * 3, 409)
    assert (published(world), await own_photos(world)) == ([int(photo)], [int(photo)])
    assert await world.stores.media_objects.size(object_key(world, photo)) == len(content)


async def test_nobody_else_may_touch_an_upload() -> None:
    """Another user gets 404 while the photo is not ready, then 403, and changes nothing."""
    world = await make_world(**LIMITS)
    async with uploading(world) as me, uploading(world, OTHER) as other:

        async def tries(photo: object) -> list[int]:
            answers = [
                await other.upload(photo),
                await other.complete(photo),
                await other.http.delete(f"/v1/photos/{photo}"),
            ]
            return [answer.status_code for answer in answers]

        photo = await me.begun(b"12345")
        uploading_still = await tries(photo)
        await me.complete(photo)
        processing = await tries(photo)
        await world.stores.photos.mark_ready({PhotoId(int(photo)): RENDITIONS}, {PhotoId(int(photo)): PUSHED})
        await world.stores.cache.invalidate([])
        ready = await tries(photo)
        unknown = await tries(7)

    assert (uploading_still, processing, ready, unknown) == ([404] * 3, [404] * 3, [403] * 3, [404] * 3)
    assert await own_photos(world) == [int(photo)]


@pytest.mark.parametrize("body", [b"12345", bytes(range(25))])
async def test_a_photo_may_be_deleted_before_it_is_completed(body: bytes) -> None:
    """Every delete returns 204. Nothing remains but a tombstone, so a late event cannot restore the
    photo."""
    world = await make_world(**LIMITS)
    async with uploading(world) as me:
        started = (await me.start(len(body))).json()
        photo, upload = started["photo_id"], started["upload"]
        first = upload["parts"][0] if "parts" in upload else upload
        await me.put(first, body[: int(first["headers"]["Content-Length"])])
        statuses = [(await me.http.delete(f"/v1/photos/{photo}")).status_code for _ in range(2)]
        later = [
            (await me.upload(photo)).status_code,
            (await me.complete(photo)).status_code,
            (await me.http.get(f"/v1/photos/{photo}")).status_code,
        ]

    assert (statuses, later) == ([204, 204], [404] * 3)
    assert (await rows(world), await objects(world), await unfinished_parts(world)) == ([], [], [])
    assert await world.stores.photos.tombstones([(PhotoId(int(photo)), UserId(ME))])
    assert world.publisher.published == []


async def test_a_photo_may_be_deleted_between_completion_and_its_row() -> None:
    """The process died after it had completed the upload and before it wrote the photo's row. The
    delete is published and wins."""
    world = await make_world(**LIMITS)
    async with uploading(world) as me:
        photo = await me.begun(b"12345")
        await world.stores.uploads.complete(PhotoId(int(photo)))
        deleted = await me.http.delete(f"/v1/photos/{photo}")
        await clean(world)
        shown = await me.http.get(f"/v1/photos/{photo}")
        repeated = await me.http.delete(f"/v1/photos/{photo}")

    assert (deleted.status_code, shown.status_code, repeated.status_code) == (204, 404, 204)
    assert EventType.PHOTO_DELETED in {event.type for event in world.publisher.published}
    assert await own_photos(world) == []


async def test_a_signed_url_never_outlives_its_upload() -> None:
    """A URL is valid for 15 minutes, or until the end of the upload if this is earlier. After the
    end, requests get 410."""
    world = await make_world(**LIMITS)
    async with uploading(world) as me:
        started = (await me.start(5)).json()
        photo = started["photo_id"]
        ends = utc_datetime(id_ms(PhotoId(int(photo))) * 1_000) + timedelta(hours=1)

        async def left_s() -> float:
            upload = (await me.upload(photo)).json()["upload"]
            return (parse_rfc3339_us(upload["expires_at"]) - world.clock.us()) / 1e6

        fresh = await left_s()
        world.clock.ms += 50 * 60_000
        late = await left_s()
        assert await me.put((await me.upload(photo)).json()["upload"], b"12345") == 200
        world.clock.ms += 10 * 60_000
        assert world.clock.us() == int(ends.timestamp() * 1e6)
        over = [(await me.upload(photo)).status_code, (await me.complete(photo)).status_code]

    assert (fresh, late, over) == (900, 600, [410, 410])
    assert published(world) == []


async def test_completing_needs_all_the_bytes() -> None:
    """While bytes are missing, every completion gets 409 and a hint at what to do. Afterwards it
    gets 202."""
    world = await make_world(**LIMITS)
    async with uploading(world) as me:
        started = (await me.start(5)).json()
        early = await me.complete(started["photo_id"])
        await world.stores.media_objects.put(
            object_key(world, started["photo_id"]), b"1234", content_type=JPEG
        )
        short = await me.complete(started["photo_id"])
        await world.stores.media_objects.delete([object_key(world, started["photo_id"])])
        await me.put(started["upload"], b"12345")
        done = await me.complete(started["photo_id"])

    assert [early.status_code, short.status_code, done.status_code] == [409, 409, 202]
    assert f"/v1/photos/{started['photo_id']}/upload" in early.json()["detail"]


async def test_only_so_many_uploads_a_minute() -> None:
    """Both kinds of upload count together, and refused requests do not count. The 429 says when to
    retry. Other users have their own limit."""
    world = await make_world(**LIMITS)
    async with uploading(world) as me, uploading(world, OTHER) as other:
        refused = [await me.start(46), await me.start("5"), await me.send(b"x" * 46), await me.send(b"", b"")]
        begun = [
            await me.start(5),
            await me.send(b"1"),
            await me.start(5),
            await me.send(b"1"),
            await me.start(5),
        ]
        over = [await me.start(5), await me.send(b"1")]
        others = await other.start(5)
        world.clock.ms += 60_000
        later = await me.start(5)

    assert [answer.status_code for answer in refused] == [413, 422, 413, 422]
    assert [answer.status_code for answer in begun] == [201, 202, 201, 202, 201]
    assert [(answer.status_code, answer.headers["retry-after"]) for answer in over] == [(429, "60")] * 2
    assert (others.status_code, later.status_code) == (201, 201)


@pytest.mark.parametrize("way", ["signed", "body"])
async def test_a_long_queue_refuses_uploads(way: str) -> None:
    """Above the limit the response is 503 with Retry-After; nothing begins and nothing is counted.
    At the limit uploads succeed."""
    world = await make_world(**LIMITS, renditions_queued_max=100)
    async with uploading(world) as me:

        async def begin() -> tuple[int, bool]:
            answer = await (me.start(5) if way == "signed" else me.send(b"12345"))
            return answer.status_code, "retry-after" in answer.headers

        world.queue.length = 101
        over = [await begin() for _ in range(6)]
        nothing = (await rows(world), await objects(world))
        world.queue.length = 100
        at = await begin()

    assert (over, nothing) == ([(503, True)] * 6, ([], []))
    assert at[0] in (201, 202)


async def test_a_client_that_goes_away_leaves_nothing() -> None:
    """No row, object or part remains, also if parts were already stored. The upload is not
    counted."""
    world = await make_world(**LIMITS)
    for pieces in ([], [b"12"], [b"x" * 15], [b"x" * 9, b"x" * 15, b"x" * 7]):
        status = await _broken_off(world, pieces)

        assert status == 400
        assert (await rows(world), await objects(world), await unfinished_parts(world)) == ([], [], [])
    async with uploading(world) as me:
        assert [(await me.send(b"1")).status_code for _ in range(5)] == [202] * 5


async def _broken_off(world: World, pieces: list[bytes]) -> int:
    """Send a request whose connection ends before its body does; returns the status that the client
    no longer reads."""
    messages = [{"type": "http.request", "body": piece, "more_body": True} for piece in pieces]
    statuses: list[int] = []

    async def receive() -> dict[str, object]:
        return messages.pop(0) if messages else {"type": "http.disconnect"}

    async def send(message: dict[str, object]) -> None:
        if message["type"] == "http.response.start":
            statuses.append(int(str(message["status"])))

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/v1/photos",
        "raw_path": b"/v1/photos",
        "query_string": b"",
        "headers": [
            (b"authorization", f"Bearer {world.token(ME)}".encode()),
            (b"content-type", JPEG.encode()),
            (b"content-length", b"40"),
        ],
    }
    await world.app(scope, receive, send)  # type: ignore[arg-type]
    return statuses[0]


async def test_bodies_in_flight_are_limited() -> None:
    """One body more than the limit is 503 at once. When a body has ended, the next one is
    accepted."""
    world = await make_world(**LIMITS, upload_bodies_in_flight_max=1)
    seen: list[int] = []
    async with uploading(world) as me, uploading(world, OTHER) as other:

        async def while_arriving() -> AsyncIterator[bytes]:
            yield b"123"
            seen.append((await other.send(b"1")).status_code)
            yield b"45"

        first = await me.http.post("/v1/photos", content=while_arriving(), headers={"Content-Type": JPEG})
        later = await me.send(b"1")

    assert (seen, first.status_code, later.status_code) == ([503], 202, 202)


async def test_an_aborted_upload_is_not_completed() -> None:
    """If the cleaning job has aborted the upload, completing it is 404, and nothing is
    published."""
    world = await make_world(**LIMITS)
    async with uploading(world) as me:
        photo = await me.begun(b"12345")
        assert await world.stores.uploads.abort(PhotoId(int(photo))) is UploadState.ABORTED
        statuses = [(await me.complete(photo)).status_code, (await me.upload(photo)).status_code]
        await clean(world)
        statuses.append((await me.complete(photo)).status_code)

    assert (statuses, published(world), await objects(world)) == ([404] * 3, [], [])


@pytest.mark.parametrize("is_signed", [True, False])
async def test_an_upload_whose_id_is_anothers_is_gone(is_signed: bool) -> None:
    """An upstream event took the id first. Nothing of the upload remains, and the other photo stays."""
    world = await make_world(**LIMITS)
    insert = world.memory.photos.insert

    async def insert_after_another(photos: Sequence[Photo]) -> None:
        await insert([replace(photo, author_id=UserId(OTHER), object_key="apps/1") for photo in photos])
        await insert(photos)

    world.switches["photos"].insert = insert_after_another  # type: ignore[attr-defined]
    async with uploading(world) as me:
        if is_signed:
            photo = await me.begun(b"12345")
            replies = [await me.complete(photo)]
        else:
            replies = [await me.send(b"12345", key="k")]
            photo = str(published(world)[0])
        statuses = [reply.status_code for reply in replies]
        again = (await me.complete(photo)).status_code

    stored = (await world.memory.photos.get([PhotoId(int(photo))]))[PhotoId(int(photo))]
    assert (statuses, again) == ([410], 404)
    assert (stored.author_id, stored.deleted) == (OTHER, False)
    assert (await rows(world), await objects(world), await own_photos(world)) == ([], [], [])
