"""What the cleaning of the media bucket asks of the database, beside what others ask.

Kept by the real store and its twin alike. Every method raises `StoreUnavailable` when
nothing is known about what it asked for; every one may be repeated.
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import Protocol

from schemas.ids import PhotoId

# Photos have places in an order that the store chooses; this is before the first, and this the last.
POSITION_MIN, POSITION_MAX = -(2**63), 2**63 - 1


class PhotoWalk(Protocol):
    """All photos there are."""

    async def after(self, place: int, *, limit: int) -> Sequence[tuple[int, PhotoId]]:
        """Up to `limit` photos with their places, from the one after `place` on; none at the end."""


class MissingObjects(Protocol):
    """Photos of which no object is left, and when that was first seen."""

    async def note(self, photo: PhotoId, now_ms: int) -> None:
        """Note it as of now, unless it is noted."""

    async def forget(self, photo: PhotoId) -> None: ...

    async def all(self) -> dict[PhotoId, int]:
        """Every noted photo, with the milliseconds since 1970 at which it was first noted."""


class Walk(StrEnum):
    OBJECTS = "objects"
    PHOTOS = "photos"


class CleaningPositions(Protocol):
    """How far each walk has got. Of two who move it at once either wins: some is walked twice then."""

    async def place(self, walk: Walk) -> str:
        """Where to go on; empty for the beginning."""

    async def move(self, walk: Walk, place: str) -> None: ...
