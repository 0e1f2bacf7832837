"""What the cleaning remembers, in memory."""

from collections.abc import Sequence

from schemas.ids import PhotoId
from streams.ports.cleaning import Walk
from streams.stores.memory.photos import MemoryPhotos


class MemoryPhotoWalk:
    """Over the rows of `photos`; places are their ids."""

    def __init__(self, photos: MemoryPhotos) -> None:
        self._photos = photos

    async def after(self, place: int, *, limit: int) -> Sequence[tuple[int, PhotoId]]:
        return [(photo, photo) for photo in self._photos.ids() if photo > place][:limit]


class MemoryMissingObjects:
    def __init__(self) -> None:
        self._since_ms: dict[PhotoId, int] = {}

    async def note(self, photo: PhotoId, now_ms: int) -> None:
        self._since_ms.setdefault(photo, now_ms)

    async def forget(self, photo: PhotoId) -> None:
        self._since_ms.pop(photo, None)

    async def all(self) -> dict[PhotoId, int]:
        return dict(self._since_ms)


class MemoryCleaningPositions:
    def __init__(self) -> None:
        self._places: dict[Walk, str] = {}

    async def place(self, walk: Walk) -> str:
        return self._places.get(walk, "")

    async def move(self, walk: Walk, place: str) -> None:
        self._places[walk] = place
