"""What the cleaning remembers, in memory."""

from collections.abc import Sequence

from schemas.ids import PhotoId
from streams.ports.cleaning import CleaningPositions, CleaningScan, MissingObjects, PhotoScan
from streams.stores.memory.photos import MemoryPhotos


class MemoryPhotoScan(PhotoScan):
    """Scans the rows of `photos`; positions are photo ids."""

    def __init__(self, photos: MemoryPhotos) -> None:
        self._photos = photos

    async def after(self, position: int, *, limit: int) -> Sequence[tuple[int, PhotoId]]:
        return [(photo, photo) for photo in self._photos.ids() if photo > position][:limit]


class MemoryMissingObjects(MissingObjects):
    """Times by photo."""

    def __init__(self) -> None:
        self._since_ms: dict[PhotoId, int] = {}

    async def note(self, photo: PhotoId, now_ms: int) -> None:
        self._since_ms.setdefault(photo, now_ms)

    async def forget(self, photo: PhotoId) -> None:
        self._since_ms.pop(photo, None)

    async def all(self) -> dict[PhotoId, int]:
        return dict(self._since_ms)


class MemoryCleaningPositions(CleaningPositions):
    """Positions by scan."""

    def __init__(self) -> None:
        self._positions: dict[CleaningScan, str] = {}

    async def position(self, scan: CleaningScan) -> str:
        return self._positions.get(scan, "")

    async def save(self, scan: CleaningScan, position: str) -> None:
        self._positions[scan] = position
