"""One photo from its event to its renditions, over stores in memory and a log of all messages.

The handlers are the real ones. A published task waits in the log until it is handled. If its
handler fails, the task is handled again, as by a consumer.
"""

from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

from schemas.facts import PhotoDeleted, PhotoUploaded
from schemas.ids import PhotoId, UserId, compose_id, unpack_ids
from schemas.internal import (
    Backfill,
    EdgeRecord,
    FanoutRecord,
    FullTask,
    RemovalTask,
    RenditionTask,
    SetKind,
    ThumbnailTask,
)
from streams.core import ring
from streams.core.delivery import DeliveryLimits
from streams.core.object_keys import ObjectKeys
from streams.core.photos import Status
from streams.core.renditions import LARGER, THUMBNAIL, EncodedRendition, RenditionFormat
from streams.core.sets import BucketKey
from streams.edges.counting import SetWriter
from streams.errors import StoreUnavailable
from streams.jobs.parked import ParkedJob
from streams.media.rejected import Reason, Rejected
from streams.photos.deleted import photo_deleted
from streams.photos.rejected import photo_rejected
from streams.photos.uploaded import photos_uploaded
from streams.ports.groups import Stores
from streams.ports.publishing import FanoutMessage, Outbox
from streams.renditions.full import full_task
from streams.renditions.making import Decoder, MakingRules
from streams.renditions.removal import removal_task
from streams.renditions.thumbnail import thumbnail_task
from streams.settings import Settings
from streams.stores.cache.keys import photo_key
from streams.stores.memory.media import MemoryCdn
from streams.stores.memory.stores import memory_stores
from streams.timelines.fanout import backfill, photos_for_owners, put_photos
from tests.worlds.deliveries import rules_of
from tests.worlds.kafka import LOCAL
from topics.catalogue import FANOUT, Lane

NOW_MS = 1_800_000_000_000
AUTHOR, FOLLOWER = UserId(7), UserId(8)
PHOTO = PhotoId(compose_id(NOW_MS, 5_000, 1))
SETTINGS = Settings(original_poll_s=2, original_wait_s_max=600)
KEYS = ObjectKeys(SETTINGS.object_prefix)
# The key of an upload over HTTP, so that the original is our object and may be removed.
ORIGINAL = KEYS.original(PHOTO)
RULES = rules_of(DeliveryLimits(pull_followers_min=3, push_again_followers_max=2))
TRIES_MAX = 5


@dataclass(frozen=True, slots=True)
class Rejection:
    """A worker finds that the photo can never have renditions."""

    photo_id: PhotoId
    reason: str


Message = PhotoUploaded | PhotoDeleted | RenditionTask | Rejection
UPLOADED = PhotoUploaded(
    photo_id=PHOTO,
    author_id=AUTHOR,
    object_key=ORIGINAL,
    content_type="image/jpeg",
    created_at=datetime(2026, 11, 21, tzinfo=UTC),
)
DELETED = PhotoDeleted(photo_id=PHOTO, author_id=AUTHOR)


class FakeDecoder:
    """Makes fake renditions; `thumbnail` rejects the original `no thumbnail`, `full` `no full`."""

    def __init__(self) -> None:
        self.decoded: list[str] = []

    async def thumbnail(self, original: bytes) -> EncodedRendition:
        return self._made(THUMBNAIL, original)

    async def full(self, original: bytes) -> dict[str, EncodedRendition]:
        return {name: self._made(name, original) for name in sorted(LARGER)}

    def _made(self, name: str, original: bytes) -> EncodedRendition:
        self.decoded.append(name)
        if original == (b"no thumbnail" if name == THUMBNAIL else b"no full"):
            raise Rejected(Reason.BROKEN, "a test said so")
        body = name.encode() + original
        return EncodedRendition(body, width=3, height=2, sha256=sha256(body).hexdigest())


@dataclass(slots=True)
class Log:
    """A fake `Outbox`: all published records in order; tasks in `waiting` are not handled yet."""

    edges_log: list[EdgeRecord] = field(default_factory=list)
    fanout_log: list[FanoutRecord] = field(default_factory=list)
    fanout_lanes: list[Lane] = field(default_factory=list)
    waiting: deque[RenditionTask] = field(default_factory=deque)
    lanes: list[tuple[str, Lane]] = field(default_factory=list)

    async def edges(self, records: Sequence[EdgeRecord]) -> None:
        self.edges_log += records

    async def fanout(self, messages: Sequence[FanoutMessage], lane: Lane) -> Mapping[int, int]:
        """All records of a lane are in its first partition."""
        self.fanout_log += [message.record for message in messages]
        self.fanout_lanes += [lane] * len(messages)
        return {LOCAL.range_of(FANOUT, lane).start: self.fanout_lanes.count(lane)}

    async def renditions(self, tasks: Sequence[RenditionTask], lane: Lane) -> None:
        self.waiting += tasks
        self.lanes += [(type(task).__name__, lane) for task in tasks]


@dataclass(frozen=True, slots=True)
class EndState:
    """What is stored of the photo at the end of a test."""

    status: Status
    reason: str | None
    deleted: bool
    renditions: frozenset[str]
    objects: frozenset[str]
    listed: tuple[tuple[int, bool], ...]
    ready_photos: tuple[int, ...]
    ready_total: int
    on_timeline: bool
    parked: int
    undelivered: int
    purged: frozenset[str]


@dataclass(slots=True)
class World:
    """Handlers use `stores` and `outbox`; a test may replace them by failing ones."""

    objects: dict[str, bytes]
    now_ms: int = NOW_MS
    real: Stores = field(init=False)
    stores: Stores = field(init=False)
    log: Log = field(default_factory=Log)
    outbox: Outbox = field(init=False)
    decoder: FakeDecoder = field(default_factory=FakeDecoder)

    def __post_init__(self) -> None:
        self.real = self.stores = memory_stores(clock_ms=lambda: self.now_ms, objects=self.objects)
        self.outbox = self.log

    @property
    def rules(self) -> MakingRules:
        return MakingRules(
            keys=KEYS,
            rendition_format=RenditionFormat.JPEG,
            original_bytes_max=100,
            original_poll_ms=2_000,
            clock_ms=lambda: self.now_ms,
        )

    async def try_once(self, message: Message) -> None:
        """Call the handler of the message's type once."""
        decoder: Decoder = self.decoder
        match message:
            case PhotoUploaded():
                await photos_uploaded(
                    self.stores,
                    self.outbox,
                    [message],
                    delivery_rules=RULES,
                    sizes=LOCAL,
                    now_ms=self.now_ms,
                    original_poll_ms=2_000,
                )
            case PhotoDeleted():
                await photo_deleted(self.stores, self.outbox, message)
            case ThumbnailTask():
                await thumbnail_task(
                    self.stores, self.outbox, decoder, message, self.rules, delivery_rules=RULES, sizes=LOCAL
                )
            case FullTask():
                await full_task(self.stores, self.outbox, decoder, message, self.rules)
            case Rejection():
                await photo_rejected(self.stores, self.outbox, message.photo_id, AUTHOR, message.reason)
            case RemovalTask():
                await removal_task(self.stores.media_objects, self.stores.cdn, message, KEYS)

    async def handle(self, message: Message) -> None:
        await _until_done(lambda: self.try_once(message))

    async def drain(self) -> None:
        """Handle all waiting tasks, and the tasks that their handlers publish."""
        while self.log.waiting:
            await self.handle(self.log.waiting[0])
            # The task is committed only after its handler has succeeded.
            self.log.waiting.popleft()

    async def look_at_parked(self, later_ms: int) -> None:
        """Advance the clock, run the job for parked photos, and handle all waiting tasks."""
        self.now_ms += later_ms
        job = ParkedJob(SETTINGS, self.stores, self.outbox)
        await _until_done(lambda: job.run_once(self.now_ms))
        await self.drain()

    async def settle(self) -> None:
        """Run the job for parked photos until no photo is parked."""
        while await self.real.parked.due(2**41, 1):
            await self.look_at_parked(SETTINGS.original_poll_s * 1_000)

    async def follower_reads(self) -> None:
        """The follower follows the author, and has a timeline."""
        await self.follow()
        await self.reader()

    async def reader(self) -> None:
        """The follower has a timeline."""
        await self.real.timelines.begin_rebuild(FOLLOWER, b"12345678")
        await self.real.timelines.finish_rebuild(FOLLOWER, b"12345678", [], 0)

    async def follow(self) -> None:
        """The follower follows the author, and gets the author's photos if there is a timeline."""
        log = Log()
        follow = EdgeRecord(SetKind.FOLLOWERS, FOLLOWER, AUTHOR, 1, removed=False)
        await self._writer(log).apply([follow], 0, 1)
        for record in log.fanout_log:
            assert isinstance(record, Backfill)
            await backfill(self.real, record, photos_max=9)

    async def apply_fanout(self) -> None:
        """Apply all records of `fanout` so far to the timelines."""
        records = self.log.fanout_log
        posts = [record for record in records if not isinstance(record, Backfill)]
        puts = await photos_for_owners(self.real, posts, page_copy_s=60)
        await put_photos(self.real, puts, fresh_since_ms=self.now_ms - 60_000)
        for record in records:
            if isinstance(record, Backfill):
                await backfill(self.real, record, photos_max=9)

    async def end_state(self) -> EndState:
        """Apply the published records, edges twice as if redelivered; return what is stored."""
        edges = [*self.log.edges_log, *self.log.edges_log]
        await self._writer(Log()).apply(edges, 1, 1 + len(edges))
        await self.apply_fanout()
        row = (await self.real.photos.get([PHOTO]))[PHOTO]
        head = (await self.real.counted_sets.summaries(SetKind.READY_PHOTOS, [AUTHOR]))[AUTHOR]
        bucket = BucketKey(SetKind.READY_PHOTOS, AUTHOR, head.level, 0)
        members = (await self.real.counted_sets.members([bucket]))[bucket]
        listed = (await self.real.author_photos.newest([AUTHOR], below=2**62, each_max=9))[AUTHOR]
        stored = await self.real.timelines.read(FOLLOWER)
        return EndState(
            status=row.status,
            reason=row.reason,
            deleted=row.deleted,
            renditions=frozenset(row.renditions),
            objects=frozenset(self._name(key) for key in self.objects),
            listed=tuple((photo.photo_id, photo.ready) for photo in listed),
            ready_photos=tuple(unpack_ids(members)),
            ready_total=head.total,
            on_timeline=stored is not None and PHOTO in ring.parse(stored).ids,
            parked=len(await self.real.parked.due(2**41, 9)),
            undelivered=len(await self.real.undelivered.all()),
            purged=frozenset(self._name(key) for key in self.edges.purged),
        )

    @property
    def edges(self) -> MemoryCdn:
        assert isinstance(self.real.cdn, MemoryCdn)
        return self.real.cdn

    def _name(self, object_key: str) -> str:
        return object_key.removeprefix(KEYS.renditions(PHOTO)).split("-")[0]

    async def look(self) -> None:
        """Assert that the bucket has every rendition that the row of a visible photo names.

        Then cache the row, as a reader does.
        """
        row = (await self.real.photos.get([PHOTO])).get(PHOTO)
        if row is None:
            return
        if row.status is Status.READY and not row.deleted and not await self._is_buried():
            missing = {made.object_key for made in row.renditions.values()} - self.objects.keys()
            assert not missing, f"the row names {missing}, which are not there"
            assert THUMBNAIL in row.renditions
        lease = await self.real.cache.lease([photo_key(PHOTO)])
        await self.real.cache.fill(lease, {photo_key(PHOTO): await self._seen()}, 60)

    async def copy_is_current(self) -> bool:
        """Whether the cached copy of the row, if there is one, equals the row."""
        [copy] = await self.real.cache.get([photo_key(PHOTO)])
        return copy in (None, await self._seen())

    async def _seen(self) -> bytes:
        row = (await self.real.photos.get([PHOTO]))[PHOTO]
        return repr((row.status, row.reason, row.deleted, sorted(row.renditions))).encode()

    async def _is_buried(self) -> bool:
        return bool(await self.real.photos.tombstones([(PHOTO, AUTHOR)]))

    def _writer(self, outbox: Any) -> SetWriter:
        return SetWriter(self.real.counted_sets, self.real.cache, outbox, 1_000, 1_000, 1)


async def _until_done(run: Callable[[], Awaitable[object]]) -> None:
    for _ in range(TRIES_MAX):
        try:
            await run()
        except StoreUnavailable:
            continue
        return
    raise AssertionError(f"not done after {TRIES_MAX} tries")
