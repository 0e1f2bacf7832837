"""A photo as the contract shows it."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from api.reading.signed_urls import UrlSigner
from schemas.ids import PhotoId
from streams.core.photos import SeenPhoto, Status

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Likes:
    """What is known of the likes of a page's photos; the caller's own, and how many in all."""

    totals: Mapping[int, int]
    own: Collection[PhotoId]


async def present(photos: Sequence[SeenPhoto], likes: Likes, signer: UrlSigner) -> list[Json]:
    """The photos' JSON, in order; URLs are signed all at once."""
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
