"""Ports of the cleaning, which compares the media bucket with the database.

Implemented by the real stores and by their in-memory twins. Every method raises
`StoreUnavailable` when nothing is known about what it was asked for; every method may be
repeated.
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import Protocol

from schemas.ids import PhotoId

# The store orders photos by positions of its own choice. The first is before every photo.
POSITION_MIN, POSITION_MAX = -(2**63), 2**63 - 1


class PhotoScan(Protocol):
    """A scan of all photos."""

    async def after(self, position: int, *, limit: int) -> Sequence[tuple[int, PhotoId]]:
        """Return up to `limit` (position, photo) pairs that follow `position`; none at the end."""


class MissingObjects(Protocol):
    """Photos that have no object left in the bucket, and when the cleaning first saw that."""

    async def note(self, photo: PhotoId, now_ms: int) -> None:
        """Note the photo as of `now_ms`; a photo that is noted already keeps its earlier time."""

    async def forget(self, photo: PhotoId) -> None: ...

    async def all(self) -> dict[PhotoId, int]:
        """Return every noted photo with its time, in milliseconds since 1970."""


class CleaningScan(StrEnum):
    """The two scans of the cleaning: over the bucket's objects, and over the database's photos."""

    OBJECTS = "objects"
    PHOTOS = "photos"


class CleaningPositions(Protocol):
    """How far each scan has got. If two processes save at once, the last wins: some work is repeated."""

    async def position(self, scan: CleaningScan) -> str:
        """Return where the scan continues; empty for the beginning."""

    async def save(self, scan: CleaningScan, position: str) -> None: ...
