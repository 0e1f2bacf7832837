"""The bytes of the copies that `copy_keys.py` names, and back."""

import struct
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from sys import byteorder
from typing import Any, NamedTuple, Self, TypeAlias, cast

import orjson

from schemas.ids import ID_MAX, PhotoId, UserId
from schemas.times import rfc3339
from streams.core.feed import END
from streams.stores.ports import AuthorPhoto, EraLikes, Photo, Status

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

    @property
    def all(self) -> Sequence[int]:
        """Both together, descending."""
        return sorted([*self.ready, *self.unready], reverse=True) if self.unready else self.ready

    def floor(self, ids_max: int) -> int:
        """The id down to which the list, cut at `ids_max`, is complete; 0 when all are here."""
        if len(self.ready) + len(self.unready) < ids_max:
            return END
        # The last id is here itself.
        return min(*self.ready[-1:], *self.unready[-1:], ID_MAX) - 1


# Name, object key, width, height.
Rendition: TypeAlias = Sequence[Any]


class SeenPhoto(NamedTuple):
    """What readers need of a photo's row, as JSON has it.

    A page makes 20 of them, so this is a tuple: a dataclass with a datetime and a
    mapping of dataclasses takes four times as long to make, and again to show.
    """

    photo_id: PhotoId
    author_id: UserId
    created_at: str  # RFC 3339.
    caption: str
    status: Status
    reason: str | None
    deleted: bool
    renditions: Sequence[Rendition]

    @classmethod
    def of(cls, photo: Photo) -> Self:
        return cls(
            photo.photo_id,
            photo.author_id,
            rfc3339(photo.created_at),
            photo.caption,
            photo.status,
            photo.reason,
            photo.deleted,
            [[name, made.object_key, made.width, made.height] for name, made in photo.renditions.items()],
        )


_STATUSES = {status.value: status for status in Status}


def encode_following(following: Following) -> bytes:
    flat = [number for pair in following.items() for number in pair]
    return struct.pack(f">{len(flat)}Q", *flat)


def decode_following(value: bytes) -> Following:
    numbers = _numbers(value)
    return dict(zip(cast("Iterable[UserId]", numbers[::2]), numbers[1::2], strict=True))


def encode_pull_list(photos: PullList) -> bytes:
    numbers = (len(photos.ready), *photos.ready, *photos.unready)
    return struct.pack(f">{len(numbers)}Q", *numbers)


def decode_pull_list(value: bytes) -> PullList:
    numbers = _numbers(value)
    unready_from = numbers[0] + 1
    return PullList(ready=numbers[1:unready_from], unready=numbers[unready_from:])


def _numbers(value: bytes) -> Sequence[int]:
    # An array reads 10,000 pairs in 20 µs; struct would make a tuple of them first.
    numbers = array("Q", value)
    if byteorder == "little":
        numbers.byteswap()
    return numbers


def encode_photo(photo: SeenPhoto) -> bytes:
    return orjson.dumps(tuple(photo))


def decode_photo(value: bytes) -> SeenPhoto:
    photo_id, author_id, created_at, caption, status, reason, deleted, renditions = orjson.loads(value)
    return SeenPhoto(photo_id, author_id, created_at, caption, _STATUSES[status], reason, deleted, renditions)


def encode_likes(likes: EraLikes) -> bytes:
    numbers = (likes.floor, *likes.photos)
    return struct.pack(f">{len(numbers)}Q", *numbers)


def decode_likes(value: bytes) -> EraLikes:
    numbers = _numbers(value)
    return EraLikes(photos=cast("Sequence[PhotoId]", numbers[1:]), floor=numbers[0])


def encode_total(total: int) -> bytes:
    return b"%d" % total


def decode_total(value: bytes) -> int:
    return int(value)
