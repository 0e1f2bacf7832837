"""Every incomplete state in which an upload over HTTP can be left, written directly to the stores.

The API goes through these states in this order. In each it may die, or its client may leave.
"""

import hashlib
import random
from datetime import UTC, datetime
from enum import StrEnum

from schemas.ids import PhotoId, UserId, id_ms
from streams.core.object_keys import ObjectKeys
from streams.core.uploads import KeyClaim, Upload
from streams.ports.groups import Stores

AUTHOR = UserId(7)
LAST_PART = b"y" * 100


class Half(StrEnum):
    """How far an upload came."""

    KEY_ONLY = "key_only"
    ROW_ONLY = "row_only"
    BODY_THERE = "body_there"
    PARTS_BEGUN = "parts_begun"  # But its id is not stored in the row.
    PARTS_BEGUN_TWICE = "parts_begun_twice"  # Only the first one's id is stored in the row.
    PARTS_NOTED = "parts_noted"
    SOME_PARTS = "some_parts"
    ALL_PARTS = "all_parts"
    PARTS_FINISHED = "parts_finished"
    COMPLETED = "completed"  # But not published.
    ABORTED = "aborted"  # But nothing is removed yet.
    ROW_GONE = "row_gone"  # Parts were begun after the row was removed.


async def leave(stores: Stores, keys: ObjectKeys, photo: PhotoId, half: Half, *, part: bytes) -> None:
    """Bring the upload of `photo` into the state `half`; its body, or its first part, is `part`."""
    claim = KeyClaim(photo, hashlib.sha256(str(photo).encode()).digest())
    await stores.uploads.claim_key(AUTHOR, f"key-{photo}", claim, life_s=86_400)
    key = keys.original(photo)
    if half is Half.KEY_ONLY:
        return
    if half is not Half.ROW_GONE:
        await stores.uploads.insert(_upload(photo, key, len(part) + len(LAST_PART)))
    match half:
        case Half.BODY_THERE:
            await stores.media_objects.put(key, part, content_type="image/jpeg")
        case Half.PARTS_BEGUN | Half.ROW_GONE:
            await stores.media_uploads.begin_parts(key, content_type="image/jpeg")
        case Half.PARTS_BEGUN_TWICE:
            parts_id = await stores.media_uploads.begin_parts(key, content_type="image/jpeg")
            await stores.uploads.set_parts_id(photo, parts_id)
            await stores.media_uploads.begin_parts(key, content_type="image/jpeg")
        case Half.COMPLETED:
            await stores.media_objects.put(key, part, content_type="image/jpeg")
            await stores.uploads.complete(photo)
        case Half.ROW_ONLY:
            pass
        case _:
            await _by_parts(stores, key, photo, half, part)


async def _by_parts(stores: Stores, key: str, photo: PhotoId, half: Half, part: bytes) -> None:
    media = stores.media_uploads
    parts_id = await media.begin_parts(key, content_type="image/jpeg")
    await stores.uploads.set_parts_id(photo, parts_id)
    if half is not Half.PARTS_NOTED:
        await media.put_part(key, parts_id, 1, part)
    if half in (Half.ALL_PARTS, Half.PARTS_FINISHED):
        await media.put_part(key, parts_id, 2, LAST_PART)
    if half is Half.PARTS_FINISHED:
        await media.finish_parts(key, parts_id, {1: len(part), 2: len(LAST_PART)})
    if half is Half.ABORTED:
        await stores.uploads.abort(photo)


def _upload(photo: PhotoId, object_key: str, size_bytes: int) -> Upload:
    return Upload(
        photo_id=photo,
        author_id=AUTHOR,
        object_key=object_key,
        content_type="image/jpeg",
        size_bytes=size_bytes,
        caption="",
        created_at=datetime.fromtimestamp(id_ms(photo) / 1_000, UTC),
    )


def halves(count: int, chosen: random.Random) -> list[Half]:
    """`count` states at random, every kind at least once."""
    return [*Half, *chosen.choices(list(Half), k=count - len(Half))]


async def remains(stores: Stores, keys: ObjectKeys, photo: PhotoId) -> set[str]:
    """Return what is stored of an upload: its row, object and unfinished parts; the photo's row."""
    key = keys.original(photo)
    unfinished = {parts.object_key for parts in await stores.media_uploads.unfinished(keys.prefix)}
    present = {
        "row": await stores.uploads.get(photo) is not None,
        "object": await stores.media_objects.size(key) is not None,
        "parts": key in unfinished,
        "photo": bool(await stores.photos.get([photo])),
    }
    return {name for name, is_there in present.items() if is_there}
