"""What is stored of a photo: its row, how it was delivered, who deleted it, its likes."""

from schemas.ids import PhotoId
from schemas.internal import SetKind
from schemas.times import rfc3339
from shutterline.inspect.author import set_section
from shutterline.inspect.formatting import NONE, minted
from shutterline.inspect.stored import Looking, Section, partitions
from streams.core.photos import Photo
from streams.stores.cache.codecs import NO_PHOTO, decode_photo, decode_total
from streams.stores.cache.keys import count_key, photo_key
from streams.stores.cassandra.inspect import StoredDelivery
from topics.catalogue import EDGES, LIKES


async def inspect_photo(look: Looking, photo: PhotoId) -> list[Section]:
    """Raises StoreUnavailable when a store does not answer."""
    return [
        await _row(look, photo),
        await _waiting(look, photo),
        await set_section(look, SetKind.LIKERS, photo),
        await _copies(look, photo),
        partitions(look.settings, (LIKES, photo, None), (EDGES, photo, None)),
    ]


async def _row(look: Looking, photo: PhotoId) -> Section:
    title = "Photo (Cassandra)"
    row = (await look.stores.photos.get([photo])).get(photo)
    if row is None:
        return Section(title, (("id", minted(photo)), ("row", NONE)))
    return Section(title, tuple(_facts(row, await look.cassandra.delivery(photo))))


def _facts(row: Photo, delivery: StoredDelivery) -> list[tuple[str, str]]:
    renditions = [
        (f"rendition {name}", f"{made.object_key}, {made.width} x {made.height}")
        for name, made in row.renditions.items()
    ]
    told = f"{delivery.mode} because of {delivery.reason}, lane {delivery.lane}"
    return [
        ("id", minted(row.photo_id)),
        ("author", str(row.author_id)),
        ("status", f"{row.status}{f': {row.reason}' if row.reason else ''}"),
        ("deleted", "yes" if row.deleted else "no"),
        ("delivery", told if delivery.mode else "not decided yet"),
        ("created at", rfc3339(row.created_at)),
        ("caption", row.caption or NONE),
        ("original", f"{row.object_key}, {row.content_type}"),
        *renditions,
    ]


async def _waiting(look: Looking, photo: PhotoId) -> Section:
    buried = await look.cassandra.tombstone_authors(photo)
    parked = await look.cassandra.parked(photo)
    due = [f"since {row.parked_at:%Y-%m-%d %H:%M:%S}, next look {row.due_at:%H:%M:%S}" for row in parked]
    return Section(
        "Tombstones and waiting (Cassandra)",
        (
            ("deleted by", ", ".join(map(str, buried)) or NONE),
            ("original waited for", "; ".join(due) or "no"),
        ),
    )


async def _copies(look: Looking, photo: PhotoId) -> Section:
    row, likes = await look.redis.cache.get([photo_key(photo), count_key(SetKind.LIKERS, photo)])
    shown = NONE
    if row is not None:
        copied = decode_photo(row) if row != NO_PHOTO else None
        shown = f"{copied.status}, deleted {copied.deleted}" if copied else "there is no such photo"
    return Section(
        "Copies (Redis)",
        (("photo", shown), ("likes", NONE if likes is None else str(decode_total(likes)))),
    )
