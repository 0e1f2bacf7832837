"""What the handlers and the API ask of the media bucket and of the uploads under way.

Kept by the real store and its twin alike. Every method raises `StoreUnavailable` when
nothing is known about what it asked for; every one may be repeated.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from schemas.ids import PhotoId, UserId


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredObject:
    """One object of a listing; `modified_ms` is when it was put, milliseconds since 1970."""

    object_key: str
    size_bytes: int
    modified_ms: int


class MediaObjects(Protocol):
    """The objects of the media bucket: originals and renditions."""

    async def size(self, object_key: str) -> int | None:
        """How many bytes the object has; None where there is none."""

    async def read(self, object_key: str, *, bytes_max: int) -> bytes | None:
        """The object's bytes, cut off after `bytes_max` + 1; None where there is none."""

    async def put(self, object_key: str, body: bytes, *, content_type: str) -> None:
        """Put an object that never changes; caches may keep it for a year."""

    async def delete(self, object_keys: Sequence[str]) -> None:
        """Remove objects; those that are not there stay so."""

    async def list(self, prefix: str, *, after: str = "", limit: int) -> list[StoredObject]:
        """Up to `limit` (at most 1,000) objects under `prefix` by key, after the key `after`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedRequest:
    """A request that whoever has it may make until it expires; it must carry all `headers`."""

    url: str
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class UnfinishedParts:
    """A multipart upload that was neither finished nor aborted."""

    object_key: str
    parts_id: str
    started_ms: int


class MediaUploads(Protocol):
    """Ways for an original's bytes into the media bucket."""

    async def sign_put(
        self, object_key: str, *, content_type: str, size_bytes: int, life_s: int
    ) -> SignedRequest:
        """A PUT of exactly these bytes and this type, which succeeds once."""

    async def begin_parts(self, object_key: str, *, content_type: str) -> str:
        """Begin an upload by parts; answers its `parts_id`."""

    async def sign_part(
        self, object_key: str, parts_id: str, number: int, *, size_bytes: int, life_s: int
    ) -> SignedRequest:
        """A PUT of part `number` (from 1) with exactly so many bytes."""

    async def put_part(self, object_key: str, parts_id: str, number: int, body: bytes) -> None: ...

    async def parts(self, object_key: str, parts_id: str) -> dict[int, int] | None:
        """The bytes of each part that has arrived, by number; None where there is no such upload."""

    async def finish_parts(self, object_key: str, parts_id: str) -> None:
        """Make the object of the parts that have arrived; nothing happens where that is done already."""

    async def abort_parts(self, object_key: str, parts_id: str) -> None:
        """Forget the upload and its parts; nothing happens where there is no such upload."""

    async def unfinished(self, prefix: str) -> list[UnfinishedParts]:
        """Every upload by parts under `prefix` that is under way."""


class UploadState(StrEnum):
    UPLOADING = "uploading"
    COMPLETED = "completed"
    ABORTED = "aborted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """A photo whose bytes are under way, or have arrived; until it is completed nobody sees it.

    `size_bytes` is as stated; None for an image that is the request's own body.
    `parts_id` is None unless it comes by parts.
    """

    photo_id: PhotoId
    author_id: UserId
    object_key: str
    content_type: str
    size_bytes: int | None
    caption: str
    created_at: datetime
    parts_id: str | None = None
    state: UploadState = UploadState.UPLOADING


@dataclass(frozen=True, slots=True)
class KeyClaim:
    """What an idempotency key stands for. `fingerprint`: 32 bytes of what was asked."""

    photo_id: PhotoId
    fingerprint: bytes


class UploadStore(Protocol):
    """One row an upload, and the idempotency keys."""

    async def insert(self, upload: Upload) -> None: ...

    async def get(self, photo: PhotoId) -> Upload | None: ...

    async def set_parts_id(self, photo: PhotoId, parts_id: str) -> str:
        """Remember the upload by parts unless there is one; answers the one that stands."""

    async def complete(self, photo: PhotoId) -> UploadState | None:
        """Take it from uploading to completed, if it is there; answers the state now, None without a row."""

    async def abort(self, photo: PhotoId) -> UploadState | None:
        """Take it from uploading to aborted, if it is there; answers the state now, None without a row."""

    async def remove(self, photo: PhotoId) -> None: ...

    def all(self) -> AsyncIterator[Upload]:
        """Every row, in no order, a thousand a call."""

    async def claim_key(self, user: UserId, key: str, claim: KeyClaim, *, life_s: int) -> KeyClaim:
        """Let the user's key stand for `claim` unless it has one already; answers the one that stands."""

    async def claimed(self, user: UserId, key: str) -> KeyClaim | None: ...

    async def release_key(self, user: UserId, key: str) -> None: ...


class UploadLimit(Protocol):
    """How many uploads a user may begin a minute, counted over all processes."""

    async def take(self, user: UserId, photo: PhotoId) -> int | None:
        """Count one more; None when that is allowed, otherwise in how many milliseconds to ask again."""

    async def give_back(self, user: UserId, photo: PhotoId) -> None:
        """Do not count it after all."""
