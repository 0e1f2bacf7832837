"""The handlers of `cases.py`: for each what a process calls, with the ports of that process."""

from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from schemas.events import Event, EventType
from schemas.facts import EventData, PhotoDeleted, PhotoLiked, PhotoUploaded
from schemas.internal import (
    Backfill,
    Deliverable,
    EdgeRecord,
    FanoutPage,
    FullTask,
    OwnPost,
    RemovalTask,
    SetKind,
    ThumbnailTask,
)
from streams.core.delivery import NO_OVERLOAD, Overload
from streams.core.renditions import THUMBNAIL, RenditionFormat
from streams.core.sets import BucketKey
from streams.edges.changed import follows_changed, likes_changed
from streams.edges.dead_lettered import edge_dead_lettered
from streams.jobs.cleaning.job import CleaningJob
from streams.jobs.parked import ParkedJob
from streams.photos.events import PhotoEvents
from streams.photos.rejected import photo_rejected
from streams.renditions.full import full_task
from streams.renditions.making import MakingRules
from streams.renditions.removal import removal_task
from streams.renditions.thumbnail import thumbnail_task
from streams.timelines.fanout import backfill, photos_for_owners, put_photos
from tests.simulation.repeats.setup import DAYS_MS, KEYS, LIMITS, NOW_US, made, writer
from tests.simulation.repeats.world import AUTHOR, NOW_MS, OTHER, PHOTO, READER, SECOND, SETTINGS, Process
from tests.worlds.deliveries import rules_of
from tests.worlds.kafka import LOCAL
from tests.worlds.renditions import FakeDecoder

Run = Callable[[], Awaitable[object]]


def events(*data: EventData, overload: Overload = NO_OVERLOAD) -> Callable[[Process], Run]:
    """Handle events of photos."""
    types = {PhotoUploaded: EventType.PHOTO_UPLOADED, PhotoDeleted: EventType.PHOTO_DELETED}
    batch = [Event(str(n), "/app", types[type(each)], NOW_US, each) for n, each in enumerate(data)]

    def handler(process: Process) -> Run:
        photos = PhotoEvents(
            stores=process.stores,
            outbox=process.outbox,
            delivery_rules=rules_of(LIMITS, overload),
            sizes=LOCAL,
            original_poll_ms=2_000,
            clock_ms=lambda: NOW_MS,
        )
        return lambda: photos.handle(batch)

    return handler


def follows(event_type: EventType, data: EventData, time_us: int = NOW_US) -> Callable[[Process], Run]:
    event = Event("1", "/app", event_type, time_us, data)
    return lambda process: partial(
        follows_changed,
        process.stores.outgoing_edges,
        process.stores.removal_marks,
        process.stores.cache,
        process.outbox,
        [event],
        clock_ms=lambda: NOW_MS,
    )


def likes(event_type: EventType, data: EventData, time_us: int = NOW_US) -> Callable[[Process], Run]:
    event = Event("1", "/app", event_type, time_us, data)
    return lambda process: partial(likes_of(process), [event])


def likes_of(process: Process) -> Callable[[Sequence[Event]], Awaitable[None]]:
    stores = process.stores
    return partial(likes_changed, stores.outgoing_edges, stores.removal_marks, stores.cache, process.outbox)


def dead_like(process: Process) -> Run:
    event = Event("1", "/api", EventType.PHOTO_LIKED, NOW_US, PhotoLiked(photo_id=PHOTO, user_id=READER))
    return lambda: edge_dead_lettered(process.stores.outgoing_edges, likes_of(process), event, waits_s=(0,))


def counted(*records: EdgeRecord, begin: int = 1, members_max: int = 1_000) -> Callable[[Process], Run]:
    """Apply a batch of `edges` that begins at this offset."""
    return lambda process: partial(
        writer(process, members_max=members_max).apply, records, begin, begin + len(records)
    )


def recounted(process: Process) -> Run:
    key = BucketKey(SetKind.FOLLOWERS, AUTHOR, 0, 0)
    return partial(writer(process, members_max=1_000).recount, [key], 2)


def rules() -> MakingRules:
    return MakingRules(
        keys=KEYS,
        rendition_format=RenditionFormat.JPEG,
        original_bytes_max=100,
        original_poll_ms=2_000,
        clock_ms=lambda: NOW_MS,
    )


def thumbnail(process: Process) -> Run:
    task = ThumbnailTask(PHOTO, AUTHOR, KEYS.original(PHOTO), NOW_MS)
    return lambda: thumbnail_task(
        process.stores,
        process.outbox,
        FakeDecoder(),
        task,
        rules(),
        delivery_rules=rules_of(LIMITS),
        sizes=LOCAL,
    )


def rejection(process: Process) -> Run:
    return lambda: photo_rejected(process.stores, process.outbox, PHOTO, AUTHOR, "broken")


def full(process: Process) -> Run:
    task = FullTask(PHOTO, AUTHOR, KEYS.original(PHOTO), NOW_MS)
    return lambda: full_task(process.stores, process.outbox, FakeDecoder(), task, rules())


def removal(process: Process) -> Run:
    task = RemovalTask(PHOTO, (made(PHOTO, THUMBNAIL).object_key,), original=True)
    return lambda: removal_task(process.stores.media_objects, process.stores.cdn, task, KEYS)


def posts(process: Process) -> Run:
    """Apply records of `fanout`."""
    records: list[Deliverable] = [OwnPost(SECOND, READER, NOW_MS), FanoutPage(PHOTO, AUTHOR, 0, 0, NOW_MS)]

    async def run() -> None:
        puts = await photos_for_owners(process.stores, records, page_copy_s=60)
        await put_photos(process.stores, puts, fresh_since_ms=NOW_MS - 60_000)

    return run


def backfilled(process: Process) -> Run:
    return lambda: backfill(process.stores, Backfill(((READER, AUTHOR), (READER, OTHER))), photos_max=9)


def looked_at(process: Process) -> Run:
    job = ParkedJob(SETTINGS, process.stores, process.outbox, clock_ms=lambda: NOW_MS)
    return lambda: job.run_once(NOW_MS)


def cleaned(process: Process) -> Run:
    job = CleaningJob(SETTINGS, SETTINGS, process.stores, process.outbox, process.outbox)
    return lambda: job.run_once(NOW_MS + DAYS_MS, whole=True)
