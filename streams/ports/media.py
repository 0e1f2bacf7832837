"""Ports of the media bucket.

Implemented by the real store and by its in-memory twin. Every method raises
`StoreUnavailable` when nothing is known about what it was asked for; every method may be
repeated.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol


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
