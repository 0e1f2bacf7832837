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
    """A PUT that whoever has it may make until it expires; it must carry all `headers`."""

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
        """A PUT of exactly so many bytes of this type, which succeeds once. Signing asks no server."""

    async def begin_parts(self, object_key: str, *, content_type: str) -> str:
        """Begin an upload by parts; answers its `parts_id`."""

    async def sign_part(
        self, object_key: str, parts_id: str, number: int, *, size_bytes: int, life_s: int
    ) -> SignedRequest:
        """A PUT of part `number` (from 1) with exactly so many bytes. Signing asks no server."""

    async def put_part(self, object_key: str, parts_id: str, number: int, body: bytes) -> None: ...

    async def parts(self, object_key: str, parts_id: str) -> dict[int, int]:
        """The bytes of each part that has arrived, by number; none where there is no such upload."""

    async def finish_parts(self, object_key: str, parts_id: str, sizes: Mapping[int, int]) -> None:
        """Make the object if exactly these parts (bytes by number) have arrived; otherwise nothing happens.

        Nothing happens either where it was finished or aborted before: whether the object is
        there, `MediaObjects.size` says.
        """

    async def abort_parts(self, object_key: str, parts_id: str) -> None:
        """Forget the upload and its parts; nothing happens where there is no such upload."""

    async def unfinished(self, prefix: str) -> list[UnfinishedParts]:
        """Every upload by parts under `prefix` that is under way."""

    async def expire_unfinished(self, prefix: str) -> bool:
        """Let the bucket itself forget unfinished uploads under `prefix` after a day; False if it cannot."""


class UploadState(StrEnum):
    """Uploading until the bytes are all there; completed until the photo is in the pipeline."""

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
    """One row an upload until its photo is in the pipeline, and the idempotency keys.

    Of those who move one row's state at once, one wins, and the others learn what stands.
    """

    async def insert(self, upload: Upload) -> None:
        """Write the row of a new id; nothing happens where there is one."""

    async def get(self, photo: PhotoId) -> Upload | None: ...

    async def set_parts_id(self, photo: PhotoId, parts_id: str) -> str | None:
        """Remember the upload by parts unless there is one; the one that stands, None if not uploading."""

    async def complete(self, photo: PhotoId) -> UploadState | None:
        """From uploading to completed; answers the state now, None without a row."""

    async def abort(self, photo: PhotoId) -> UploadState | None:
        """From uploading to aborted; answers the state now, None without a row."""

    async def take_back(self, photo: PhotoId) -> UploadState | None:
        """From completed to aborted; answers the state now, None without a row."""

    async def enter(self, photo: PhotoId) -> UploadState | None:
        """Remove the row of a completed upload, whose photo is in the pipeline.

        Answers the state that it had; only where that is completed it was removed by this call.
        """

    async def remove(self, photo: PhotoId) -> None:
        """Remove the row, whatever its state."""

    def all(self) -> AsyncIterator[Upload]:
        """Every row, in no order, a thousand a call."""

    async def claim_key(self, user: UserId, key: str, claim: KeyClaim, *, life_s: int) -> KeyClaim:
        """Let the user's key stand for `claim` unless it has one already; answers the one that stands."""

    async def claimed(self, user: UserId, key: str) -> KeyClaim | None: ...

    async def release_key(self, user: UserId, key: str, photo: PhotoId) -> None:
        """Let the key stand for nothing, if it stands for this photo."""


class UploadLimit(Protocol):
    """How many uploads a user may begin a minute, counted over all processes; `name` is the upload's."""

    async def take(self, user: UserId, name: str) -> int | None:
        """Count one more, each name once; None when allowed, otherwise in how many milliseconds to ask."""

    async def give_back(self, user: UserId, name: str) -> None:
        """Do not count it after all."""
