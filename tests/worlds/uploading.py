"""A client that uploads over HTTP to an API in memory, and functions that read what it stored."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, cast

import httpx
from fastapi import FastAPI

from api.composition import make_services
from api.reading.media_keys import KeyIds, MediaKeys
from schemas.events import EventType
from schemas.ids import ID_MAX, PhotoId, UserId
from streams.core.object_keys import ObjectKeys
from streams.core.uploads import Upload
from streams.fairness import FairSlots, Shares
from streams.ports.health import StoreProbe
from streams.ports.media import SignedRequest
from streams.stores.memory.media import MemoryMediaUploads
from streams.uploads.lifecycle import UploadLifecycle
from streams.uploads.turns import UploadTurns
from tests.worlds.api import World, make_world, media_key
from tests.worlds.flaky_stores import FlakyStores, Moment, pause
from tests.worlds.kafka import LOCAL

ME, OTHER = 1, 2
PART_BYTES = 10
JPEG = "image/jpeg"
# Limits so small that tests reach them: parts of 10 bytes, images of at most 45 bytes.
LIMITS = {"upload_part_bytes": PART_BYTES, "upload_bytes_max": 45}


@dataclass(frozen=True, slots=True)
class Uploader:
    """One user's client."""

    world: World
    http: httpx.AsyncClient

    async def start(self, size_bytes: object, key: str | None = None, **fields: object) -> httpx.Response:
        body = {"content_type": JPEG, "bytes": size_bytes, **fields}
        return await self.http.post("/v1/photos", json=body, headers=_headers(key))

    async def send(
        self, *pieces: bytes, key: str | None = None, caption: str = "", content_type: str = JPEG
    ) -> httpx.Response:
        """Send the image as the request body; several pieces are sent without a Content-Length."""
        query = {"caption": caption} if caption else {}
        headers = {"Content-Type": content_type, **_headers(key)}
        content = pieces[0] if len(pieces) == 1 else in_pieces(*pieces)
        return await self.http.post("/v1/photos", content=content, headers=headers, params=query)

    async def put(self, upload: Mapping[str, Any], body: bytes) -> int:
        """Send `body` by the signed request of an upload, or of one part; return the status."""
        media = cast(MemoryMediaUploads, self.world.stores.media_uploads)
        return await media.put_signed(SignedRequest(url=upload["url"], headers=upload["headers"]), body)

    async def put_parts(self, upload: Mapping[str, Any], body: bytes) -> None:
        """Send all parts that have not arrived."""
        for part in upload["parts"]:
            start = (part["number"] - 1) * upload["part_bytes"]
            if not part["arrived"]:
                assert await self.put(part, body[start : start + upload["part_bytes"]]) == 200

    async def complete(self, photo: object) -> httpx.Response:
        return await self.http.post(f"/v1/photos/{photo}/complete")

    async def upload(self, photo: object) -> httpx.Response:
        return await self.http.get(f"/v1/photos/{photo}/upload")

    async def begun(self, body: bytes) -> str:
        """Start an upload and send all its bytes, but do not complete it; return the photo's id."""
        started = (await self.start(len(body))).json()
        assert await self.put(started["upload"], body) == 200
        return str(started["photo_id"])


@asynccontextmanager
async def uploading(world: World, user: int = ME) -> AsyncIterator[Uploader]:
    async with world.client(user) as http:
        yield Uploader(world, http)


NewWorld = Callable[[], Awaitable[World]]


def world_maker() -> NewWorld:
    """Return a function that makes worlds; they share one application, which is slow to make."""
    apps: list[FastAPI] = []

    async def new() -> World:
        world = await make_world(**LIMITS)
        if apps:
            world.adopt(apps[0])
        apps.append(world.app)
        return world

    return new


def _headers(key: str | None) -> dict[str, str]:
    return {} if key is None else {"Idempotency-Key": key}


async def in_pieces(*pieces: bytes) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


def object_key(world: World, photo: object) -> str:
    return ObjectKeys(world.settings.object_prefix).original(PhotoId(int(str(photo))))


async def rows(world: World) -> list[Upload]:
    """Return the rows of all uploads; a row is removed once its photo has entered the pipeline."""
    return [upload async for upload in world.memory.uploads.all()]


async def objects(world: World) -> list[str]:
    return [stored.object_key for stored in await world.memory.media_objects.list("", limit=1_000)]


async def unfinished_parts(world: World) -> list[str]:
    return [parts.object_key for parts in await world.memory.media_uploads.unfinished("")]


async def own_photos(world: World, author: int = ME) -> list[int]:
    """The author's photos as the database lists them."""
    user = UserId(author)
    photos = await world.memory.author_photos.newest([user], below=ID_MAX, each_max=100)
    return [photo.photo_id for photo in photos[user]]


def published(world: World) -> list[int]:
    """Return the photos whose upload event was published, without duplicates."""
    return sorted(
        {
            int(event.data.model_dump()["photo_id"])
            for event in world.publisher.published
            if event.type is EventType.PHOTO_UPLOADED
        }
    )


async def clean(world: World) -> None:
    """End every upload that is left, as the cleaning job does once its time is over."""
    lifecycle = UploadLifecycle.of(world.settings, world.memory, world.publisher, world.clock.us)
    for upload in await rows(world):
        await lifecycle.expire(upload)
    for parts in await world.memory.media_uploads.unfinished(""):
        await world.memory.media_uploads.abort_parts(parts.object_key, parts.parts_id)


def through(world: World, at: Callable[[Moment], Awaitable[None]]) -> FlakyStores:
    """From now on, call `at` before and after each call of the API to a store or to Kafka."""
    flaky = FlakyStores(world.stores, at)
    publisher = flaky.around("publisher", world.publisher)
    services = make_services(
        world.settings,
        flaky.stores,
        publisher,
        world.queue,
        world.log_ends,
        lambda: LOCAL,
        kafka_probe=cast(StoreProbe, world.switches["kafka_probe"]),
        ops=world.ops,
        ids=world.services.uploads.ids,
        media_keys=MediaKeys(KeyIds("local"), media_key()),
        clocks=world.services.health.clocks,
        clock_us=world.clock.us,
    )
    # The former verifier has read the revocations.
    former = world.services
    world.services = replace(services, verifier=former.verifier, admission=former.admission)
    world.adopt(world.app)
    return flaky


class _NoTurns(UploadTurns):
    """Never refuses a key."""

    @asynccontextmanager
    async def key(self, user: UserId, key: str | None) -> AsyncIterator[None]:
        yield


def as_if_by_many_processes(world: World) -> None:
    """From now on, racing requests of one user all run, as in processes of their own without Redis."""
    bodies = FairSlots(100, Shares(user=100, address=100))
    turns = _NoTurns(leases=world.stores.leases, lease_ms=1_000, images_of_user_max=100)
    uploads = replace(world.services.uploads, turns=turns, bodies=bodies)
    world.services = replace(world.services, uploads=uploads)
    world.adopt(world.app)


async def together(moment: Moment) -> None:
    """Suspend before and after every call of a store, so that concurrent tasks take turns."""
    await pause()
