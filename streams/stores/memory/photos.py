"""Photos, tombstones and each author's list in memory."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from schemas.ids import PhotoId, UserId
from schemas.times import whole_ms
from streams.core.delivery import Delivery
from streams.core.photos import AuthorPhoto, ParkedPhoto, Photo, Status, StoredRendition
from streams.ports.photos import AuthorPhotos, ParkedPhotos, Photos


class MemoryPhotos(Photos):
    """Rows and tombstones; `deliveries` has what `mark_ready` stored, for tests."""

    def __init__(self) -> None:
        self._rows: dict[PhotoId, Photo] = {}
        self._tombstones: set[tuple[PhotoId, UserId]] = set()
        self.deliveries: dict[PhotoId, Delivery] = {}

    async def insert(self, photos: Sequence[Photo]) -> None:
        # Stores only the facts; the other methods write what happens to the photo.
        for photo in photos:
            facts = replace(
                photo,
                created_at=whole_ms(photo.created_at),  # Cassandra's timestamps have milliseconds.
                status=Status.PROCESSING,
                reason=None,
                deleted=False,
            )
            self._rows.setdefault(photo.photo_id, facts)

    async def get(self, photos: Sequence[PhotoId]) -> dict[PhotoId, Photo]:
        return {photo: self._rows[photo] for photo in photos if photo in self._rows}

    async def mark_ready(
        self,
        renditions: Mapping[PhotoId, Mapping[str, StoredRendition]],
        deliveries: Mapping[PhotoId, Delivery],
    ) -> None:
        self.deliveries |= deliveries
        for photo, of_photo in renditions.items():
            await self.add_renditions(photo, of_photo)
            if self._rows[photo].status is not Status.REJECTED:
                self._rows[photo] = replace(self._rows[photo], status=Status.READY)

    async def add_renditions(self, photo: PhotoId, renditions: Mapping[str, StoredRendition]) -> None:
        row = self._rows[photo]
        self._rows[photo] = replace(row, renditions={**row.renditions, **renditions})

    async def forget_renditions(self, photo: PhotoId, names: Collection[str]) -> None:
        row = self._rows[photo]
        left = {name: rendition for name, rendition in row.renditions.items() if name not in names}
        self._rows[photo] = replace(row, renditions=left)

    async def mark_rejected(self, photo: PhotoId, reason: str) -> None:
        self._rows[photo] = replace(self._rows[photo], status=Status.REJECTED, reason=reason)

    def ids(self) -> list[PhotoId]:
        """Return the ids of all rows, ascending."""
        return sorted(self._rows)

    async def write_tombstone(self, photo: PhotoId, author: UserId) -> None:
        self._tombstones.add((photo, author))

    async def tombstones(self, photos: Collection[tuple[PhotoId, UserId]]) -> set[tuple[PhotoId, UserId]]:
        return self._tombstones & set(photos)

    async def erase(self, photo: PhotoId) -> None:
        self._rows[photo] = replace(self._rows[photo], deleted=True, caption="")


class MemoryAuthorPhotos(AuthorPhotos):
    """Each author's photos. Removed and rejected photos are remembered: `add` cannot bring them back."""

    def __init__(self) -> None:
        self._ready: dict[UserId, dict[PhotoId, bool]] = defaultdict(dict)
        self._removed: set[tuple[UserId, PhotoId]] = set()
        self._rejected: set[tuple[UserId, PhotoId]] = set()
        self._repaired: dict[tuple[UserId, PhotoId], bool] = {}

    async def add(self, photos: Collection[tuple[PhotoId, UserId]], *, ready: bool) -> None:
        for photo, author in photos:
            self._ready[author][photo] = ready or self._ready[author].get(photo, False)

    async def reject(self, author: UserId, photo: PhotoId) -> None:
        self._rejected.add((author, photo))

    async def remove(self, author: UserId, photo: PhotoId) -> None:
        self._removed.add((author, photo))

    async def repair(self, author: UserId, photo: PhotoId, *, is_listed: bool) -> None:
        self._ready[author].setdefault(photo, True)
        self._repaired[author, photo] = is_listed

    async def newest(
        self, authors: Sequence[UserId], *, below: int, each_max: int
    ) -> dict[UserId, list[AuthorPhoto]]:
        return {author: self._newest(author, below)[:each_max] for author in authors}

    def authors(self) -> set[UserId]:
        """Return everybody who has a list."""
        return set(self._ready)

    def _newest(self, author: UserId, below: int) -> list[AuthorPhoto]:
        return [
            AuthorPhoto(photo_id=photo, ready=self._is_ready(author, photo))
            for photo in sorted(self._ready[author], reverse=True)
            if photo < below and self._repaired.get((author, photo), (author, photo) not in self._removed)
        ]

    def _is_ready(self, author: UserId, photo: PhotoId) -> bool:
        is_ready = self._ready[author][photo] and (author, photo) not in self._rejected
        return self._repaired.get((author, photo), is_ready)


class MemoryParkedPhotos(ParkedPhotos):
    """Parked photos by due time and id."""

    def __init__(self) -> None:
        self._parked: dict[tuple[int, PhotoId], ParkedPhoto] = {}

    async def park(self, photo: ParkedPhoto) -> None:
        self._parked[photo.due_ms, photo.photo_id] = photo

    async def due(self, now_ms: int, limit: int) -> list[ParkedPhoto]:
        due = sorted(key for key in self._parked if key[0] <= now_ms)
        return [self._parked[key] for key in due[:limit]]

    async def unpark(self, photo: ParkedPhoto) -> None:
        self._parked.pop((photo.due_ms, photo.photo_id), None)
