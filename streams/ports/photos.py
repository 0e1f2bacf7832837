"""Ports of photos and their authors.

Implemented by the real store and by its in-memory twin. Every method raises
`StoreUnavailable` when nothing is known about what it was asked for; every method may be
repeated. Times are microseconds since 1970 (`time_us`) unless the name says otherwise.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from schemas.ids import PhotoId, UserId
from streams.core.delivery import Delivery, Mode
from streams.core.overload.deferral import DeferredPost
from streams.core.photos import AuthorPhoto, ParkedPhoto, Photo, StoredRendition


class Photos(Protocol):
    """Photos and tombstones; one row a photo."""

    async def insert(self, photos: Sequence[Photo]) -> None:
        """Store the facts of each photo whose id is new, also the renditions that came with it.

        An id keeps the facts of its first author: read its row afterwards to know whose it is.
        """

    async def get(self, photos: Sequence[PhotoId]) -> dict[PhotoId, Photo]:
        """Return the rows that exist, also of deleted photos.

        Takes at most 1,000 ids and makes one call for every 100.
        """

    async def mark_ready(
        self,
        renditions: Mapping[PhotoId, Mapping[str, StoredRendition]],
        deliveries: Mapping[PhotoId, Delivery],
    ) -> None:
        """Mark each photo ready, add its renditions, and store how it is delivered.

        Both mappings have the same photos. The renditions replace others of the same name.
        """

    async def add_renditions(self, photo: PhotoId, renditions: Mapping[str, StoredRendition]) -> None:
        """Add renditions to those that the photo has, whatever its status."""

    async def forget_renditions(self, photo: PhotoId, names: Collection[str]) -> None:
        """Remove renditions from the row, because their objects are no longer in the bucket."""

    async def mark_rejected(self, photo: PhotoId, reason: str) -> None:
        """Reject the photo permanently: calls to `mark_ready` before or after have no effect."""

    async def write_tombstone(self, photo: PhotoId, author: UserId) -> None:
        """Store permanently that `author` deleted `photo`, even if no such photo is stored yet."""

    async def tombstones(self, photos: Collection[tuple[PhotoId, UserId]]) -> set[tuple[PhotoId, UserId]]:
        """Return those of the photos, each with its author, that the author has deleted.

        One call for every 100 photos.
        """

    async def erase(self, photo: PhotoId) -> None:
        """Mark the row deleted and remove its caption, permanently."""


class AuthorPhotos(Protocol):
    """Each author's photos by id, descending. Removal is permanent, whatever the order of calls."""

    async def add(self, photos: Collection[tuple[PhotoId, UserId]], *, ready: bool) -> None:
        """List each photo for its author. One that was added as ready stays so unless it is rejected."""

    async def reject(self, author: UserId, photo: PhotoId) -> None:
        """List the photo as not ready, permanently, whether it is added before or after."""

    async def remove(self, author: UserId, photo: PhotoId) -> None: ...

    async def repair(self, author: UserId, photo: PhotoId, *, is_listed: bool) -> None:
        """List the photo as ready or remove it, also if somebody changed its row by hand.

        It counts as later than everything before. The other methods then have no effect on the row.
        """

    async def newest(
        self, authors: Sequence[UserId], *, below: int, each_max: int
    ) -> dict[UserId, list[AuthorPhoto]]:
        """Return for each author up to `each_max` photos with ids below `below`, newest first.

        Fewer than `each_max` means that there are no more. One call for every 64 authors.
        """


class Authors(Protocol):
    """How each author's photos are delivered."""

    async def modes_by_size(self, authors: Sequence[UserId]) -> dict[UserId, Mode]:
        """Return the last mode that each author's follower count required; push if unknown.

        One call for every 100 authors.
        """

    async def remember_modes(self, modes: Mapping[UserId, Mode]) -> None: ...


class PulledAuthors(Protocol):
    """The authors whose newest photos readers must merge into their feeds."""

    async def add(self, authors: Collection[UserId]) -> None: ...

    async def version(self) -> str:
        """Return a text that changes with every new author; reads one cell."""

    async def all(self) -> frozenset[UserId]: ...


class UndeliveredPhotos(Protocol):
    """The photos that a worker makes ready and has not delivered yet, or died before it had; and those of
    which old values may be cached, because a server did not respond.

    Their authors count as pulled, so no page lacks these photos. An entry that nobody ends is forgotten
    after days; until then it costs the readers of its author one more list.
    """

    async def begin(self, photos: Collection[tuple[PhotoId, UserId]]) -> None: ...

    async def end(self, photos: Collection[tuple[PhotoId, UserId]]) -> None:
        """Remove photos that are delivered. If a server does not respond, some may come back for a while."""

    async def all(self) -> Mapping[PhotoId, UserId]:
        """Return the author of each such photo, of all for which `begin` has returned."""


class DeferredPosts(Protocol):
    """Deferred posts by the period in which they became ready."""

    async def add(self, posts: Collection[DeferredPost]) -> None:
        """Store the posts. If one is stored already, what is known of its push stays."""

    async def periods(self) -> Mapping[int, int]:
        """Return every period that may have posts, with a version.

        It changes with `add`, and when `save_progress` says that a push was sent.
        """

    async def of_period(self, period: int) -> list[DeferredPost]:
        """Return the posts of a period by photo id, ascending."""

    async def save_progress(self, posts: Collection[DeferredPost]) -> None:
        """Store how far each push has come. A post that was removed meanwhile is deferred again."""

    async def remove(self, posts: Collection[DeferredPost]) -> None:
        """Remove posts that are in all timelines."""

    async def forget(self, period: int, version: int) -> None:
        """Forget a period without posts, unless it has a later version by now."""


class ParkedPhotos(Protocol):
    """Photos whose original has not arrived yet, by the time to look for it again."""

    async def park(self, photo: ParkedPhoto) -> None: ...

    async def due(self, now_ms: int, limit: int) -> list[ParkedPhoto]:
        """Return up to `limit` photos whose time to look again has come."""

    async def unpark(self, photo: ParkedPhoto) -> None: ...
