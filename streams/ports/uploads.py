"""Ports of the uploads that are under way.

Implemented by the real store and by its in-memory twin. Every method raises
`StoreUnavailable` when nothing is known about what it was asked for; every method may be
repeated.
"""

from collections.abc import AsyncIterator
from typing import Protocol

from schemas.ids import PhotoId, UserId
from streams.core.uploads import KeyClaim, Upload, UploadState


class Uploads(Protocol):
    """One row an upload until its photo is in the pipeline, and the idempotency keys.

    If several callers change the state of one row at once, one wins; the others get the stored
    state.
    """

    async def insert(self, upload: Upload) -> None:
        """Store the row of a new id; does nothing if the id has a row."""

    async def get(self, photo: PhotoId) -> Upload | None: ...

    async def set_parts_id(self, photo: PhotoId, parts_id: str) -> str | None:
        """Store the multipart upload's id unless one is stored; returns the stored one.

        Returns None if the upload has no row or is no longer uploading.
        """

    async def complete(self, photo: PhotoId) -> UploadState | None:
        """Change the state from "uploading" to "completed"; any other state stays as it is.

        Returns the state after the call, None without a row.
        """

    async def abort(self, photo: PhotoId) -> UploadState | None:
        """As `complete`, from "uploading" to "aborted"."""

    async def take_back(self, photo: PhotoId) -> UploadState | None:
        """As `complete`, from "completed" to "aborted"."""

    async def enter(self, photo: PhotoId) -> UploadState | None:
        """Remove the row of a completed upload, because its photo is in the pipeline.

        Returns the state before the call, None without a row. The row is removed only if that
        state is completed.
        """

    async def remove(self, photo: PhotoId) -> None:
        """Remove the row, whatever its state."""

    def all(self) -> AsyncIterator[Upload]:
        """Yield every row in no particular order; one call for every 1,000."""

    async def claim_key(self, user: UserId, key: str, claim: KeyClaim, *, life_s: int) -> KeyClaim:
        """Store `claim` under the user's idempotency key unless the key has a claim.

        Returns the stored claim, which expires after `life_s`.
        """

    async def claimed(self, user: UserId, key: str) -> KeyClaim | None: ...

    async def release_key(self, user: UserId, key: str, photo: PhotoId) -> None:
        """Remove the key's claim if it is for this photo."""


class UploadLimit(Protocol):
    """A limit on the uploads that a user begins in a minute, counted over all processes.

    Each upload has a name; the same name is counted once.
    """

    async def take(self, user: UserId, name: str) -> int | None:
        """Count one more upload; returns None if allowed, else the milliseconds to wait."""

    async def give_back(self, user: UserId, name: str) -> None:
        """Remove the upload from the count."""
