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
        """Return the object's size in bytes; None if there is no object."""

    async def read(self, object_key: str, *, bytes_max: int) -> bytes | None:
        """Return the object's bytes, cut off after `bytes_max` + 1; None if there is no object."""

    async def put(self, object_key: str, body: bytes, *, content_type: str) -> None:
        """Put an object that never changes; caches may store it for a year."""

    async def delete(self, object_keys: Sequence[str]) -> None:
        """Delete objects; keys without an object are ignored."""

    async def list(self, prefix: str, *, after: str = "", limit: int) -> list[StoredObject]:
        """Return up to `limit` (at most 1,000) objects under `prefix`, by key, above `after`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedRequest:
    """A signed PUT. Everyone who has it may send it until it expires, with all `headers`."""

    url: str
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class UnfinishedParts:
    """A multipart upload that was neither finished nor aborted."""

    object_key: str
    parts_id: str
    started_ms: int


class MediaUploads(Protocol):
    """How an original's bytes get into the media bucket: signed requests, or parts that we put."""

    async def sign_put(
        self, object_key: str, *, content_type: str, size_bytes: int, life_s: int
    ) -> SignedRequest:
        """Sign a PUT of exactly this size and type, which succeeds once. Makes no request."""

    async def begin_parts(self, object_key: str, *, content_type: str) -> str:
        """Begin a multipart upload; returns its `parts_id`."""

    async def sign_part(
        self, object_key: str, parts_id: str, number: int, *, size_bytes: int, life_s: int
    ) -> SignedRequest:
        """Sign a PUT of part `number` (from 1) of exactly this size. Makes no request."""

    async def put_part(self, object_key: str, parts_id: str, number: int, body: bytes) -> None: ...

    async def parts(self, object_key: str, parts_id: str) -> dict[int, int]:
        """Return the bytes of each arrived part, by number; empty for an unknown upload."""

    async def finish_parts(self, object_key: str, parts_id: str, sizes: Mapping[int, int]) -> None:
        """Make the object if exactly these parts (bytes by number) have arrived; else do nothing.

        Also does nothing if the upload was finished or aborted before. So call `MediaObjects.size`
        to know whether the object exists.
        """

    async def abort_parts(self, object_key: str, parts_id: str) -> None:
        """Remove the upload and its parts; does nothing for an unknown upload."""

    async def unfinished(self, prefix: str) -> list[UnfinishedParts]:
        """Return every multipart upload under `prefix` that is under way."""

    async def expire_unfinished(self, prefix: str) -> bool:
        """Set a rule: the bucket removes unfinished uploads under `prefix` after a day.

        Returns False if the server or its policy does not allow that.
        """
