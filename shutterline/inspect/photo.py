"""What is stored of a photo: its row, how it was delivered, who deleted it, its likes."""

from schemas.ids import PhotoId
from schemas.internal import SetKind
from schemas.times import rfc3339
from shutterline.inspect.author import set_section
from shutterline.inspect.formatting import NONE, minted
from shutterline.inspect.stored import Inspection, Section, partitions
from streams.core.photos import Photo
from streams.stores.cache.codecs import NO_PHOTO, decode_photo, decode_total
from streams.stores.cache.keys import count_key, photo_key
from streams.stores.cassandra.inspect import StoredDelivery
from topics.catalogue import EDGES, LIKES


async def inspect_photo(inspection: Inspection, photo: PhotoId) -> list[Section]:
    """Raises StoreUnavailable if a store does not answer."""
    return [
        await _row(inspection, photo),
        await _waiting(inspection, photo),
        await set_section(inspection, SetKind.LIKERS, photo),
        await _cached(inspection, photo),
        partitions(inspection.namespace, inspection.sizes, (LIKES, photo, None), (EDGES, photo, None)),
    ]


async def _row(inspection: Inspection, photo: PhotoId) -> Section:
    title = "Photo (Cassandra)"
    row = (await inspection.photos.get([photo])).get(photo)
    if row is None:
        return Section(title, (("id", minted(photo)), ("row", NONE)))
    return Section(title, tuple(_facts(row, await inspection.cassandra.delivery(photo))))


def _facts(row: Photo, delivery: StoredDelivery) -> list[tuple[str, str]]:
    renditions = [
        (f"rendition {name}", f"{rendition.object_key}, {rendition.width} x {rendition.height}")
        for name, rendition in row.renditions.items()
    ]
    decided = f"{delivery.mode} because of {delivery.reason}, lane {delivery.lane}"
    return [
        ("id", minted(row.photo_id)),
        ("author", str(row.author_id)),
        ("status", f"{row.status}{f': {row.reason}' if row.reason else ''}"),
        ("deleted", "yes" if row.deleted else "no"),
        ("delivery", decided if delivery.mode else "not decided yet"),
        ("created at", rfc3339(row.created_at)),
        ("caption", row.caption or NONE),
        ("original", f"{row.object_key}, {row.content_type}"),
        *renditions,
    ]


async def _waiting(inspection: Inspection, photo: PhotoId) -> Section:
    buried = await inspection.cassandra.tombstone_authors(photo)
    parked = await inspection.cassandra.parked(photo)
    due = [f"since {row.parked_at:%Y-%m-%d %H:%M:%S}, next look {row.due_at:%H:%M:%S}" for row in parked]
    return Section(
        "Tombstones and waiting (Cassandra)",
        (
            ("deleted by", ", ".join(map(str, buried)) or NONE),
            ("original waited for", "; ".join(due) or "no"),
        ),
    )


async def _cached(inspection: Inspection, photo: PhotoId) -> Section:
    row, likes = await inspection.redis.cache.get([photo_key(photo), count_key(SetKind.LIKERS, photo)])
    shown = NONE
    if row is not None:
        cached = decode_photo(row) if row != NO_PHOTO else None
        shown = f"{cached.status}, deleted {cached.deleted}" if cached else "there is no such photo"
    return Section(
        "Cached (Redis)",
        (("photo", shown), ("likes", NONE if likes is None else str(decode_total(likes)))),
    )
