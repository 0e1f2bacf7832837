"""Ports of the uploads that are under way.

Implemented by the real store and by its in-memory twin. Every method raises
`StoreUnavailable` when nothing is known about what it was asked for; every method may be
repeated.
"""

from collections.abc import AsyncIterator
from typing import Protocol

from schemas.ids import PhotoId, UserId
from streams.core.uploads import KeyClaim, Upload, UploadState


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
