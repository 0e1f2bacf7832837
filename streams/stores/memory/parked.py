"""Photos whose original has not arrived yet, in memory."""

from schemas.ids import PhotoId
from streams.core.photos import ParkedPhoto
from streams.ports.photos import ParkedPhotos


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
