"""Photos, and pages of photos, as the contract shows them."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from api.http.cursors import CursorKind, encode_cursor
from api.reading.signed_urls import UrlSigner
from schemas.ids import PhotoId
from streams.core.feed import TOP, Gaps
from streams.core.photos import SeenPhoto, Status

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Likes:
    """The likes of a page's photos: how many each has, and which photos the caller likes."""

    totals: Mapping[int, int]
    own: Collection[PhotoId]


async def present(photos: Sequence[SeenPhoto], likes: Likes, signer: UrlSigner) -> list[Json]:
    """The photos' JSON, in order; all URLs are signed together."""
    keys = [object_key for photo in photos for _, object_key, _, _ in photo.renditions]
    urls = await signer.urls(keys)
    return [_photo(photo, likes, urls.__getitem__) for photo in photos]


def _photo(photo: SeenPhoto, likes: Likes, url_of: Callable[[str], str]) -> Json:
    return {
        "photo_id": str(photo.photo_id),
        "author_id": str(photo.author_id),
        "caption": photo.caption,
        "created_at": photo.created_at,
        "like_count": likes.totals.get(photo.photo_id, 0),
        "liked": photo.photo_id in likes.own,
        "status": photo.status.value,
        "reason": photo.reason if photo.status is Status.REJECTED else None,
        "renditions": {
            name: {"url": url_of(object_key), "width": width, "height": height}
            for name, object_key, width, height in photo.renditions
        },
    }


def photo_page(items: list[Json], next_below: int | None, kind: CursorKind, gaps: Gaps) -> Json:
    """A page of photos; the next one begins below `next_below`, which is None at the end."""
    # `next_below` is TOP if nothing could be read of the first page. Without a cursor, the client
    # requests the first page again.
    cursor = None if next_below is None or next_below == TOP else encode_cursor(kind, next_below)
    return {
        "items": items,
        "next_cursor": cursor,
        "completeness": gaps.completeness.value,
    }
