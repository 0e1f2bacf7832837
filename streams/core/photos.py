"""Photos: a row, an entry of an author's list, and what readers see of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple, Self, TypeAlias

from schemas.ids import ID_MAX, PhotoId, UserId
from schemas.times import rfc3339
from streams.core.feed import END


# No docstring, because the served OpenAPI document would show it as a description.
class Status(StrEnum):
    PROCESSING = "processing"
    READY = "ready"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRendition:
    """A rendition in the media bucket; sides in pixels."""

    object_key: str
    width: int
    height: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Photo:
    """A photo's row. `reason` is None unless the photo is rejected; `renditions` are by name."""

    photo_id: PhotoId
    author_id: UserId
    created_at: datetime
    caption: str
    object_key: str
    content_type: str
    status: Status = Status.PROCESSING
    reason: str | None = None
    renditions: Mapping[str, StoredRendition]
    deleted: bool = False


@dataclass(frozen=True, slots=True)
class AuthorPhoto:
    """An entry of an author's list."""

    photo_id: PhotoId
    ready: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ParkedPhoto:
    """A photo without its original, parked at `parked_ms`, due at `due_ms` (ms since 1970)."""

    photo_id: PhotoId
    author_id: UserId
    object_key: str
    parked_ms: int
    due_ms: int


@dataclass(frozen=True, slots=True)
class PullList:
    """The ids of an author's newest photos, ready ones and others apart, each descending."""

    ready: Sequence[int]
    unready: Sequence[int]

    @classmethod
    def of(cls, photos: Sequence[AuthorPhoto]) -> Self:
        return cls(
            ready=[photo.photo_id for photo in photos if photo.ready],
            unready=[photo.photo_id for photo in photos if not photo.ready],
        )

    @property
    def all(self) -> Sequence[int]:
        """The ids of both, descending."""
        return sorted([*self.ready, *self.unready], reverse=True) if self.unready else self.ready

    def floor(self, ids_max: int) -> int:
        """Return the id above which the list, cut at `ids_max`, is complete; 0 if it is not cut."""
        if len(self.ready) + len(self.unready) < ids_max:
            return END
        # Minus 1, because a floor is exclusive, and the smallest id is in the list.
        return min(*self.ready[-1:], *self.unready[-1:], ID_MAX) - 1


# Name, object key, width, height.
Rendition: TypeAlias = Sequence[Any]


class SeenPhoto(NamedTuple):
    """What readers need of a photo's row, in the types that JSON has.

    A page creates 20 of these, so it is a tuple: creating a dataclass with a datetime and a
    mapping of dataclasses takes four times as long, and so does converting it to JSON.
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
            [
                [name, rendition.object_key, rendition.width, rendition.height]
                for name, rendition in photo.renditions.items()
            ],
        )
