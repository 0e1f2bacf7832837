"""An original in the bucket becomes a photo in feeds: first its thumbnail is made, then all four
sizes."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import psutil
import pytest
import pyvips  # type: ignore[import-untyped]

from bench.traffic.events import follows, fresh_photo_ids
from bench.traffic.readers import client_of, feed_of
from bench.traffic.waiting import eventually
from infra.local.deployment import Deployment
from infra.local.processes.daemon import Daemon
from schemas.facts import PhotoUploaded
from schemas.ids import PhotoId, UserId
from shutterline.client.feed import FeedClient, Json, feed_path
from streams.core.object_keys import ObjectKeys
from streams.core.photos import Photo, Status
from streams.kafka.producing.producer import Outgoing
from streams.ports.groups import Stores
from streams.stores.connect import connect
from tests.integration.conftest import DeploymentFactory
from tests.integration.test_feeds import call

READER, AUTHOR = UserId(1), UserId(2)
SIDES = {"thumbnail": 150, "small": 320, "medium": 640, "large": 1080}
DEADLINE_S = 60.0


def drawn(width: int, height: int) -> Any:
    """A picture with colour gradients and noise, so that no format compresses it to a few bytes."""
    slopes = pyvips.Image.xyz(width, height)
    noise = pyvips.Image.gaussnoise(width, height, sigma=20)
    bands = [slopes[0] * 255 / width + noise, slopes[1] * 255 / height, 128 + noise]
    return bands[0].bandjoin(bands[1:]).cast("uchar").copy(interpretation="srgb")


def key_of(photo: PhotoId) -> str:
    return f"test/{photo}"


def event(deployment: Deployment, photo: PhotoId, object_key: str | None = None) -> Outgoing:
    data = PhotoUploaded(
        photo_id=photo,
        author_id=AUTHOR,
        object_key=object_key or key_of(photo),
        content_type="image/jpeg",
        created_at=datetime.now(UTC),
    )
    return deployment.outgoing(data)


@asynccontextmanager
async def stores_of(deployment: Deployment) -> AsyncIterator[Stores]:
    async with connect(deployment.settings, timeout_ms=10_000) as stores:
        yield stores


async def put(stores: Stores, photo: PhotoId, body: bytes) -> None:
    await stores.media_objects.put(key_of(photo), body, content_type="image/jpeg")


async def rows_of(stores: Stores, photos: Sequence[PhotoId]) -> list[Photo]:
    rows = await stores.photos.get(photos)
    return [rows[photo] for photo in photos if photo in rows]


async def all_made(stores: Stores, photos: Sequence[PhotoId]) -> bool:
    rows = await rows_of(stores, photos)
    return len(rows) == len(photos) and all(row.renditions.keys() == SIDES.keys() for row in rows)


async def photo_as(client: FeedClient, photo: PhotoId, user: UserId) -> tuple[int, Json]:
    headers = {"Authorization": f"Bearer {client.token_of(user)}"}
    async with client.http.get(f"{client.api}/v1/photos/{photo}", headers=headers) as answer:
        return answer.status, await answer.json()


@pytest.fixture
def system(deploy: DeploymentFactory) -> Callable[..., Deployment]:
    """Starts a worker for events, a worker for renditions, and the API."""

    def start(**settings: object) -> Deployment:
        deployment = deploy(**settings)
        deployment.start_all(media=True)
        return deployment

    return start


def expected_sizes(width: int, height: int) -> dict[str, tuple[int, int]]:
    """Return the size of each rendition. A rendition is never larger than its original."""
    longest = max(width, height)
    scales = {name: min(1.0, side / longest) for name, side in SIDES.items()}
    return {name: (round(width * scale), round(height * scale)) for name, scale in scales.items()}


@pytest.mark.law("L9")
async def test_originals_become_photos_and_wait_for_none_of_their_neighbours(
    system: Callable[..., Deployment],
) -> None:
    """Three formats, two that are broken, and one whose original comes late.

    A follower sees a photo only once its thumbnail can be fetched, and never the broken
    ones; their author sees why.
    """
    deployment = system(original_poll_s=1)
    made = {
        "jpeg": ((1_600, 1_000), drawn(1_600, 1_000).jpegsave_buffer(Q=85)),
        "png": ((500, 900), drawn(500, 900).bandjoin(200).pngsave_buffer()),
        "webp": ((100, 80), drawn(100, 80).webpsave_buffer()),
    }
    photos = fresh_photo_ids(6)
    late, cut, text, good = photos[0], photos[1], photos[2], photos[3:]
    sizes = dict(zip(good, [size for size, _ in made.values()], strict=True))
    async with client_of(deployment) as client, stores_of(deployment) as stores:
        await deployment.publish(follows(deployment, [(READER, AUTHOR)]))
        await deployment.drained()
        await feed_of(client, READER)
        for photo, (_, body) in zip(good, made.values(), strict=True):
            await put(stores, photo, body)
        await put(stores, cut, made["jpeg"][1][:300])
        await put(stores, text, b"not an image at all")
        await deployment.publish(event(deployment, photo) for photo in photos)

        async def good_are_in_the_feed() -> bool:
            found = await feed_of(client, READER)
            for row in await rows_of(stores, found):
                assert await stores.media_objects.size(row.renditions["thumbnail"].object_key) is not None
            return set(found) == set(good)

        took_s = await eventually("the good ones are in the follower's feed", good_are_in_the_feed)
        status, body = await photo_as(client, late, AUTHOR)
        assert (200, "processing") == (status, body["status"]), f"after {took_s:.1f} s"
        await eventually("all sizes are made", lambda: all_made(stores, good))
        await deployment.drained()
        for row in await rows_of(stores, good):
            assert expected_sizes(*sizes[row.photo_id]) == {
                name: (rendition.width, rendition.height) for name, rendition in row.renditions.items()
            }
            for rendition in row.renditions.values():
                stored = await stores.media_objects.read(rendition.object_key, bytes_max=10_000_000)
                assert stored is not None
                image = pyvips.Image.new_from_buffer(stored, "")
                assert (rendition.width, rendition.height) == (image.width, image.height)
                assert rendition.object_key.startswith(deployment.settings.object_prefix)

        seen = [await photo_as(client, photo, AUTHOR) for photo in (cut, text)]
        reasons = [(status, body["status"], body["reason"]) for status, body in seen]
        assert [(200, "rejected", "broken"), (200, "rejected", "unsupported_format")] == reasons
        assert {404} == {(await photo_as(client, photo, READER))[0] for photo in (cut, text, late)}
        own, _ = await client.get(feed_path(20).replace("feed", f"users/{AUTHOR}/photos"), AUTHOR)
        assert {str(photo) for photo in photos} == {item["photo_id"] for item in own["items"]}

        await put(stores, late, made["webp"][1])
        await eventually("the late one is made, too", lambda: all_made(stores, [late]))
        await deployment.drained()
        assert sorted([late, *good], reverse=True) == await feed_of(client, READER)
        counts, _ = await client.get(f"/v1/users/{AUTHOR}", READER)
        assert counts["photos"] == len(good) + 1


def decoders_of(worker: Daemon) -> list[psutil.Process]:
    """Return the decoder processes: they are grandchildren of the worker, because its children fork
    them."""
    if worker.pid is None:
        return []
    return [child for process in psutil.Process(worker.pid).children() for child in process.children()]


async def caught(worker: Daemon) -> psutil.Process:
    """Wait until a decoder runs, and return it."""
    began = time.monotonic()
    while time.monotonic() - began < DEADLINE_S:
        for decoder in decoders_of(worker):
            if decoder.is_running() and decoder.status() != psutil.STATUS_ZOMBIE:
                return decoder
        await asyncio.sleep(0.005)
    raise AssertionError(f"no decoder was seen for {DEADLINE_S:.0f} s")


@pytest.mark.law("L1")
async def test_killed_decoders_and_workers_lose_nothing(deploy: DeploymentFactory) -> None:
    """kill -9 of decoders and of the whole worker while it works: every photo made, once, counts exact."""
    deployment = deploy()
    deployment.start_all()
    photos = fresh_photo_ids(12)
    # Large enough that decoders can be caught at work: a PNG is decoded whole.
    body = drawn(2_400, 1_800).pngsave_buffer(compression=1)
    async with client_of(deployment) as client, stores_of(deployment) as stores:
        await deployment.publish(follows(deployment, [(READER, AUTHOR)]))
        await deployment.drained()
        await feed_of(client, READER)
        for photo in photos:
            await put(stores, photo, body)
        await deployment.publish(event(deployment, photo) for photo in photos)
        worker = deployment.start_media()
        for _ in range(3):
            (await caught(worker)).kill()
        await caught(worker)
        worker.kill()
        worker = deployment.start_media()
        await eventually("some are ready", lambda: some_ready(stores, photos))
        await caught(worker)
        worker.kill()
        assert not await all_made(stores, photos), "killed too late to show anything"
        deployment.start_media()
        await deployment.drained()

        assert await all_made(stores, photos)
        assert {Status.READY} == {row.status for row in await rows_of(stores, photos)}
        keys = ObjectKeys(deployment.settings.object_prefix)
        stored = [await stores.media_objects.list(keys.renditions(photo), limit=9) for photo in photos]
        assert {4} == {len(row) for row in stored}
        assert sorted(photos, reverse=True) == await feed_of(client, READER)
        counts, _ = await client.get(f"/v1/users/{AUTHOR}", READER)
        assert counts["photos"] == len(photos)


async def some_ready(stores: Stores, photos: Sequence[PhotoId]) -> bool:
    return any(row.status is Status.READY for row in await rows_of(stores, photos))


async def test_a_delete_takes_the_objects_away(system: Callable[..., Deployment]) -> None:
    """A delete removes all renditions, and the original if it was uploaded to us. An original of an
    upstream app stays."""
    deployment = system()
    keys = ObjectKeys(deployment.settings.object_prefix)
    ours, theirs = fresh_photo_ids(2)
    body = drawn(300, 200).jpegsave_buffer()
    async with client_of(deployment) as client, stores_of(deployment) as stores:
        await stores.media_objects.put(keys.original(ours), body, content_type="image/jpeg")
        await put(stores, theirs, body)
        await deployment.publish([event(deployment, ours, keys.original(ours)), event(deployment, theirs)])
        await eventually("both are made", lambda: all_made(stores, [ours, theirs]))
        for photo in (ours, theirs):
            assert 204 == await call(client, "DELETE", f"/v1/photos/{photo}", AUTHOR)
        await deployment.drained()

        left = [await stores.media_objects.list(keys.renditions(photo), limit=9) for photo in (ours, theirs)]
        assert [[], []] == left
        assert await stores.media_objects.size(keys.original(ours)) is None
        assert await stores.media_objects.size(key_of(theirs)) == len(body)
        counts, _ = await client.get(f"/v1/users/{AUTHOR}", READER)
        assert counts["photos"] == 0
