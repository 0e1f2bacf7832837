"""Uploads without HTTP: an upload intake over stores in memory, and the cleaning of uploads."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from itertools import count

from schemas.ids import ID_MAX, PhotoId, UserId, compose_id
from streams.core.object_keys import ObjectKeys
from streams.core.uploads import RequestedUpload, Upload
from streams.ports.groups import Stores
from streams.ports.publishing import EventPublisher
from streams.settings import Settings
from streams.stores.memory.media import MemoryMediaUploads
from streams.stores.memory.stores import memory_stores
from streams.uploads.intake import UploadIntake
from streams.uploads.sending import SendingPlan
from tests.worlds.api import NOW_MS, Clock, FakePublisher, FakeQueue
from tests.worlds.flaky_stores import FlakyStores, Moment

ME = UserId(1)
PART_BYTES = 10
SETTINGS = Settings(_env_file=None, upload_part_bytes=PART_BYTES, upload_bytes_max=45)


async def pieces_of(*pieces: bytes) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


@dataclass(slots=True)
class IntakeWorld:
    """`intake` is the process under test; a test may replace it by one whose stores fail."""

    clock: Clock = field(default_factory=lambda: Clock(NOW_MS))
    publisher: FakePublisher = field(default_factory=FakePublisher)
    queue: FakeQueue = field(default_factory=FakeQueue)
    memory: Stores = field(init=False)
    intake: UploadIntake = field(init=False)
    _sequence: Iterator[int] = field(default_factory=lambda: count(1))

    def __post_init__(self) -> None:
        self.memory = memory_stores(
            clock_ms=lambda: self.clock.ms,
            timeline_slots=SETTINGS.timeline_slots,
            rebuilds_per_s_max=SETTINGS.rebuilds_per_s_max,
            uploads_per_minute=SETTINGS.uploads_per_minute,
        )
        self.intake = self.process(self.memory, self.publisher)

    def process(self, stores: Stores, publisher: EventPublisher) -> UploadIntake:
        """Return the intake of a new process that uses these stores."""
        return UploadIntake.of(
            SETTINGS, stores, publisher, self.queue, mint=self.mint, clock_us=self.clock.us
        )

    def through(self, at: Callable[[Moment], Awaitable[None]]) -> FlakyStores:
        """Replace the process by one that calls `at` around each call to a store or to Kafka."""
        flaky = FlakyStores(self.memory, at)
        self.intake = self.process(flaky.stores, flaky.around("publisher", self.publisher))
        return flaky

    async def mint(self) -> PhotoId:
        return PhotoId(compose_id(self.clock.ms, 1, next(self._sequence)))

    async def send(self, *pieces: bytes, key: str | None = None) -> PhotoId:
        """Upload an image as the body of one request."""
        request = RequestedUpload("image/jpeg", "", None)
        photo, _ = await self.intake.receive(ME, request, pieces_of(*pieces), key)
        return photo

    async def start(self, size_bytes: int, key: str | None = None) -> tuple[PhotoId, SendingPlan]:
        return await self.intake.start(ME, RequestedUpload("image/jpeg", "", size_bytes), key)

    async def put(self, plan: SendingPlan, content: bytes) -> None:
        """Send the bytes that have not arrived, by signed requests, as a client does."""
        media = self.memory.media_uploads
        assert isinstance(media, MemoryMediaUploads)
        if plan.put is not None:
            assert await media.put_signed(plan.put, content) in (200, 412)
        for part in plan.parts:
            start = (part.number - 1) * plan.part_bytes
            if not part.has_arrived:
                assert await media.put_signed(part.signed, content[start : start + plan.part_bytes]) == 200

    async def clean(self) -> None:
        """End every upload that is left, as the cleaning job does once its time is over."""
        lifecycle = self.process(self.memory, self.publisher).lifecycle
        for upload in await self.rows():
            await lifecycle.expire(upload)
        for parts in await self.memory.media_uploads.unfinished(""):
            await self.memory.media_uploads.abort_parts(parts.object_key, parts.parts_id)

    async def rows(self) -> list[Upload]:
        return [upload async for upload in self.memory.uploads.all()]

    async def objects(self) -> list[str]:
        return [stored.object_key for stored in await self.memory.media_objects.list("", limit=1_000)]

    async def own_photos(self) -> list[PhotoId]:
        """The author's photos as the database lists them."""
        photos = await self.memory.author_photos.newest([ME], below=ID_MAX, each_max=100)
        return [photo.photo_id for photo in photos[ME]]

    def published(self) -> set[int]:
        """The photos whose upload was published."""
        return {int(event.data.model_dump()["photo_id"]) for event in self.publisher.published}

    async def assert_holds(self, photos: list[PhotoId], what: object) -> None:
        """Assert that only these photos exist, each with one object, and that no upload is left."""
        keys = ObjectKeys(SETTINGS.object_prefix)

        assert await self.own_photos() == photos, what
        assert await self.objects() == [keys.original(photo) for photo in photos], what
        assert (await self.rows(), await self.memory.media_uploads.unfinished("")) == ([], []), what
