"""The bytes of the copies that `copy_keys.py` names, and back."""

import struct
from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from sys import byteorder
from typing import Self, TypeAlias, cast

import orjson

from schemas.ids import ID_MAX, UserId
from schemas.times import rfc3339
from streams.core.feed import END
from streams.stores.ports import AuthorPhoto, Photo, Status, StoredRendition

NO_PHOTO = b"null"


# Whom a user follows, ascending, each with when this system learned of it, in milliseconds.
Following: TypeAlias = dict[UserId, int]


@dataclass(frozen=True, slots=True)
class PullList:
    """An author's newest photos, ready and not; each descending."""

    ready: Sequence[int]
    unready: Sequence[int]

    @classmethod
    def of(cls, photos: Sequence[AuthorPhoto]) -> Self:
        return cls(
            ready=[each.photo_id for each in photos if each.ready],
            unready=[each.photo_id for each in photos if not each.ready],
        )

    def floor(self, ids_max: int) -> int:
        """The id down to which the list, cut at `ids_max`, is complete; 0 when all are here."""
        if len(self.ready) + len(self.unready) < ids_max:
            return END
        # The last id is here itself.
        return min(*self.ready[-1:], *self.unready[-1:], ID_MAX) - 1


def encode_following(following: Following) -> bytes:
    flat = [number for pair in following.items() for number in pair]
    return struct.pack(f">{len(flat)}Q", *flat)


def decode_following(value: bytes) -> Following:
    numbers = _numbers(value)
    return dict(zip(cast("Iterable[UserId]", numbers[::2]), numbers[1::2], strict=True))


def encode_pull_list(photos: PullList) -> bytes:
    flags = dict.fromkeys(photos.ready, 1) | dict.fromkeys(photos.unready, 0)
    flat = [number for photo in sorted(flags, reverse=True) for number in (photo, flags[photo])]
    return struct.pack(f">{len(flat)}Q", *flat)


def decode_pull_list(value: bytes) -> PullList:
    numbers = _numbers(value)
    photos, flags = numbers[::2], numbers[1::2]
    if all(flags):
        return PullList(ready=photos, unready=())
    return PullList(
        ready=[photo for photo, ready in zip(photos, flags, strict=True) if ready],
        unready=[photo for photo, ready in zip(photos, flags, strict=True) if not ready],
    )


def _numbers(value: bytes) -> Sequence[int]:
    # An array reads 10,000 pairs in 20 µs; struct would make a tuple of them first.
    numbers = array("Q", value)
    if byteorder == "little":
        numbers.byteswap()
    return numbers


def encode_photo(photo: Photo) -> bytes:
    return orjson.dumps(
        {
            "photo_id": photo.photo_id,
            "author_id": photo.author_id,
            "created_at": rfc3339(photo.created_at),
            "caption": photo.caption,
            "object_key": photo.object_key,
            "content_type": photo.content_type,
            "status": photo.status,
            "reason": photo.reason,
            "renditions": _packed_renditions(photo.renditions),
            "deleted": photo.deleted,
        }
    )


def decode_photo(value: bytes) -> Photo:
    stored = orjson.loads(value)
    renditions = {
        name: StoredRendition(object_key=object_key, width=width, height=height)
        for name, (object_key, width, height) in stored["renditions"].items()
    }
    return Photo(
        **{
            **stored,
            "created_at": datetime.fromisoformat(stored["created_at"]),
            "status": Status(stored["status"]),
            "renditions": renditions,
        }
    )


def _packed_renditions(renditions: Mapping[str, StoredRendition]) -> dict[str, tuple[str, int, int]]:
    return {name: (each.object_key, each.width, each.height) for name, each in renditions.items()}


def encode_total(total: int) -> bytes:
    return b"%d" % total


def decode_total(value: bytes) -> int:
    return int(value)
