"""Photos as the pipeline and its readers see them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple, Self, TypeAlias

from schemas.ids import ID_MAX, PhotoId, UserId
from schemas.times import rfc3339
from streams.core.feed import END


class Status(StrEnum):
    PROCESSING = "processing"
    READY = "ready"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRendition:
    object_key: str
    width: int
    height: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Photo:
    """A photo's row. `reason` is None unless rejected; `renditions` by name."""

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
    photo_id: PhotoId
    ready: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ParkedPhoto:
    photo_id: PhotoId
    author_id: UserId
    object_key: str
    parked_ms: int
    due_ms: int


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
