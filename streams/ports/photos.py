"""Ports of photos and their authors.

Implemented by the real store and by its in-memory twin. Every method raises
`StoreUnavailable` when nothing is known about what it was asked for; every method may be
repeated. Times are microseconds since 1970 (`time_us`) unless the name says otherwise.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from schemas.ids import PhotoId, UserId
from streams.core.delivery import Delivery, Mode
from streams.core.photos import AuthorPhoto, ParkedPhoto, Photo, StoredRendition


class PhotoStore(Protocol):
    """Photos and tombstones; one row a photo."""

    async def insert(self, photo: Photo) -> UserId:
        """Write the photo's facts if its id is new; answers whose the id is, the given author or another."""

    async def get(self, photos: Sequence[PhotoId]) -> dict[PhotoId, Photo]:
        """The rows that exist, deleted ones included; at most 1,000 ids, one call a hundred."""

    async def mark_ready(self, photo: PhotoId, renditions: Mapping[str, StoredRendition]) -> None:
        """Make the photo ready and add `renditions` to those that it has; of one name the last counts."""

    async def add_renditions(self, photo: PhotoId, renditions: Mapping[str, StoredRendition]) -> None:
        """Add renditions to those that the photo has, whatever its status."""

    async def forget_renditions(self, photo: PhotoId, names: Collection[str]) -> None:
        """Take renditions out of the row, which are not in the bucket any more."""

    async def mark_rejected(self, photo: PhotoId, reason: str) -> None:
        """Reject the photo for good: whatever comes earlier or later, it is not ready."""

    async def record_delivery(self, photo: PhotoId, delivery: Delivery) -> None: ...

    async def write_tombstone(self, photo: PhotoId, author: UserId) -> None:
        """Remember for ever that `author` deleted `photo`, also when there is no such photo yet."""

    async def has_tombstone(self, photo: PhotoId, author: UserId) -> bool: ...

    async def erase(self, photo: PhotoId) -> None:
        """Mark the row deleted and forget its caption. For ever."""


class AuthorPhotos(Protocol):
    """Each author's photos by id, descending. What is removed stays so, whatever the order of calls."""

    async def add(self, author: UserId, photo: PhotoId, *, ready: bool) -> None:
        """Twice is once; ready stays ready unless it is rejected."""

    async def reject(self, author: UserId, photo: PhotoId) -> None:
        """A photo that was added is listed as not ready, for good."""

    async def remove(self, author: UserId, photo: PhotoId) -> None: ...

    async def newest(
        self, authors: Sequence[UserId], *, below: int, each_max: int
    ) -> dict[UserId, list[AuthorPhoto]]:
        """For each author up to `each_max` photos with ids below `below`, newest first.

        Fewer than `each_max` means that there are no more. One call for every 64 authors.
        """


class AuthorStore(Protocol):
    async def mode_by_size(self, author: UserId) -> Mode:
        """The last mode that the author's size asked for; push for one never seen."""

    async def remember_mode(self, author: UserId, mode: Mode) -> None: ...


class PulledAuthors(Protocol):
    """Authors whose newest photos readers must merge."""

    async def add(self, author: UserId) -> None: ...

    async def mark(self) -> str:
        """Changes with every author that is new; costs one cell."""

    async def all(self) -> frozenset[UserId]: ...


class ParkedPhotos(Protocol):
    """Photos whose original has not arrived yet, by when to look again."""

    async def park(self, photo: ParkedPhoto) -> None: ...

    async def due(self, now_ms: int, limit: int) -> list[ParkedPhoto]: ...

    async def unpark(self, photo: ParkedPhoto) -> None: ...
