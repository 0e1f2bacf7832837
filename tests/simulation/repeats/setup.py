"""What the handlers of `cases.py` find: photos, followers, uploads and objects in several states."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial

from schemas.facts import PhotoDeleted, PhotoUploaded
from schemas.facts import Rendition as GivenRendition
from schemas.ids import PhotoId, UserId
from schemas.internal import READY_TIME_US, EdgeRecord, SetKind
from streams.core.counted import Membership
from streams.core.delivery import DeliveryLimits
from streams.core.edges import OutgoingEdge
from streams.core.object_keys import ObjectKeys
from streams.core.photos import ParkedPhoto, Photo, StoredRendition
from streams.core.renditions import ALL_RENDITIONS, THUMBNAIL
from streams.core.uploads import Upload
from streams.edges.counting import SetWriter
from streams.photos.begun import photo_begun
from streams.photos.deleted import photo_deleted
from streams.photos.rejected import photo_rejected
from tests.simulation.repeats.world import (
    AUTHOR,
    EARLIER,
    FANS,
    NOW_MS,
    PHOTO,
    READER,
    SETTINGS,
    Process,
    World,
)
from tests.worlds.deliveries import PUSHED

Given = Callable[[World], Awaitable[None]]
NOW_US = NOW_MS * 1_000
DAYS_MS = 2 * 86_400_000
KEYS = ObjectKeys(SETTINGS.object_prefix)
LIMITS = DeliveryLimits(pull_followers_min=3, push_again_followers_max=2)
CREATED_AT = datetime(2026, 11, 21, tzinfo=UTC)


def made(photo: PhotoId, name: str) -> StoredRendition:
    return StoredRendition(object_key=KEYS.rendition(photo, name, "a" * 64, "jpg"), width=3, height=2)


def row(photo: PhotoId) -> Photo:
    return Photo(
        photo_id=photo,
        author_id=AUTHOR,
        created_at=CREATED_AT,
        caption="a",
        object_key=KEYS.original(photo),
        content_type="image/jpeg",
        renditions={},
    )


def uploaded(photo: PhotoId, given: Mapping[str, GivenRendition] | None = None) -> PhotoUploaded:
    return PhotoUploaded(
        photo_id=photo,
        author_id=AUTHOR,
        object_key=KEYS.original(photo),
        content_type="image/jpeg",
        created_at=CREATED_AT,
        caption="a",
        renditions=given,
    )


DELETED = PhotoDeleted(photo_id=PHOTO, author_id=AUTHOR)
THEIRS = {THUMBNAIL: GivenRendition(object_key="theirs/t.jpg", width=3, height=2)}


def given(*parts: Given) -> Given:
    return partial(_given, parts)


async def _given(parts: Sequence[Given], world: World) -> None:
    for part in parts:
        await part(world)


async def original(world: World) -> None:
    world.objects[KEYS.original(PHOTO)] = b"original"


async def broken(world: World) -> None:
    world.objects[KEYS.original(PHOTO)] = b"no thumbnail"


async def broken_later(world: World) -> None:
    world.objects[KEYS.original(PHOTO)] = b"no full"


async def processing(world: World) -> None:
    await photo_begun(world.real, row(PHOTO))


async def ready(world: World, photo: PhotoId = PHOTO, names: Sequence[str] = (THUMBNAIL,)) -> None:
    """A photo with these renditions and their objects is ready, listed and counted."""
    await photo_begun(world.real, row(photo))
    renditions = {name: made(photo, name) for name in names}
    for rendition in renditions.values():
        await world.real.media_objects.put(rendition.object_key, b"made", content_type="image/jpeg")
    await world.real.photos.mark_ready({photo: renditions}, {photo: PUSHED})
    await world.real.author_photos.add([(photo, AUTHOR)], ready=True)
    await writer(world.process(), members_max=1_000).apply(
        [in_set(SetKind.READY_PHOTOS, photo, AUTHOR)], 0, 1
    )


async def one_before(world: World) -> None:
    await ready(world, EARLIER)


async def tombstone(world: World) -> None:
    await world.real.photos.write_tombstone(PHOTO, AUTHOR)


async def rejected(world: World) -> None:
    await photo_rejected(world.real, world.process().outbox, PHOTO, AUTHOR, "broken")


async def deleted(world: World) -> None:
    await photo_deleted(world.real, world.process().outbox, DELETED)


async def timeline(world: World) -> None:
    await world.real.timelines.begin_rebuild(READER, b"12345678")
    await world.real.timelines.finish_rebuild(READER, b"12345678", [], 0)


async def followed(world: World, fans: Sequence[UserId] = FANS[:2], *, removed: bool = False) -> None:
    """These follow the author, on both sides."""
    state = Membership(NOW_US - 9, removed)
    rows = [(fan, int(AUTHOR), state) for fan in fans]
    await world.real.outgoing_edges.write_all(OutgoingEdge.FOLLOWING, rows)
    records = [EdgeRecord(SetKind.FOLLOWERS, fan, AUTHOR, state.time_us, removed) for fan in fans]
    await writer(world.process(), members_max=1_000).apply(records, 0, 1)


async def followed_by_many(world: World) -> None:
    await followed(world, FANS)


async def liked(world: World) -> None:
    """The reader likes the photo, on one side: the row of a request over HTTP."""
    await world.real.outgoing_edges.write(
        OutgoingEdge.LIKES, READER, PHOTO, Membership(NOW_US, removed=False)
    )


async def unfollowed_over_http(world: World) -> None:
    """There was no row, so there is only a mark."""
    await world.real.removal_marks.put(OutgoingEdge.FOLLOWING, READER, AUTHOR, NOW_US + 1)


async def parked(world: World, since_ms: int = 0) -> None:
    await world.real.parked.park(
        ParkedPhoto(
            photo_id=PHOTO,
            author_id=AUTHOR,
            object_key=KEYS.original(PHOTO),
            parked_ms=NOW_MS - since_ms,
            due_ms=NOW_MS,
        )
    )


async def parked_long(world: World) -> None:
    await parked(world, SETTINGS.original_wait_s_max * 1_000)


async def upload(world: World) -> None:
    """An upload whose image has arrived."""
    await world.real.uploads.insert(
        Upload(
            photo_id=PHOTO,
            author_id=AUTHOR,
            object_key=KEYS.original(PHOTO),
            content_type="image/jpeg",
            size_bytes=None,
            caption="a",
            created_at=CREATED_AT,
        )
    )
    await original(world)


async def completed(world: World) -> None:
    await world.real.uploads.complete(PHOTO)


async def whole(world: World) -> None:
    await ready(world, PHOTO, sorted(ALL_RENDITIONS))


async def without_large(world: World) -> None:
    await whole(world)
    del world.objects[made(PHOTO, "large").object_key]


async def without_objects(world: World) -> None:
    await whole(world)
    world.objects.clear()


async def found_missing(world: World) -> None:
    """The cleaning found that, and a day has passed."""
    await world.real.missing_objects.note(PHOTO, NOW_MS)


async def much_later(world: World) -> None:
    world.now_ms += DAYS_MS


def in_set(kind: SetKind, member: int, owner: int, *, later_us: int = 0, removed: bool = False) -> EdgeRecord:
    time_us = READY_TIME_US if kind is SetKind.READY_PHOTOS else NOW_US + later_us
    return EdgeRecord(kind, member, owner, time_us, removed)


def writer(process: Process, *, members_max: int) -> SetWriter:
    return SetWriter(process.stores.counted_sets, process.stores.cache, process.outbox, members_max, 2, 1)
