"""The small tables and the media bucket in memory."""

from schemas.ids import PhotoId, UserId
from streams.core.delivery import Mode
from streams.stores.ports import ParkedPhoto, Stop


class MemoryAuthors:
    """Modes by author."""

    def __init__(self) -> None:
        self._modes: dict[UserId, Mode] = {}

    async def mode_by_size(self, author: UserId) -> Mode:
        return self._modes.get(author, Mode.PUSH)

    async def remember_mode(self, author: UserId, mode: Mode) -> None:
        self._modes[author] = mode


class MemoryPulledAuthors:
    """A set and how often it was added to."""

    def __init__(self) -> None:
        self._authors: set[UserId] = set()
        self._adds = 0

    async def add(self, author: UserId) -> None:
        self._authors.add(author)
        self._adds += 1

    async def mark(self) -> str:
        return str(self._adds)

    async def all(self) -> frozenset[UserId]:
        return frozenset(self._authors)


class MemoryParkedPhotos:
    """Parked photos by when they are due."""

    def __init__(self) -> None:
        self._parked: dict[tuple[int, PhotoId], ParkedPhoto] = {}

    async def park(self, photo: ParkedPhoto) -> None:
        self._parked[photo.due_ms, photo.photo_id] = photo

    async def due(self, now_ms: int, limit: int) -> list[ParkedPhoto]:
        due = sorted(key for key in self._parked if key[0] <= now_ms)
        return [self._parked[key] for key in due[:limit]]

    async def unpark(self, photo: ParkedPhoto) -> None:
        self._parked.pop((photo.due_ms, photo.photo_id), None)


class MemoryStops:
    """Stops by partition."""

    def __init__(self) -> None:
        self._stops: dict[tuple[str, str, int], Stop] = {}

    async def stop(self, stop: Stop) -> None:
        self._stops[stop.group, stop.topic, stop.partition] = stop

    async def stops(self, group: str) -> list[Stop]:
        return [self._stops[key] for key in sorted(self._stops) if key[0] == group]

    async def resume(self, group: str) -> int:
        stopped = await self.stops(group)
        for stop in stopped:
            del self._stops[stop.group, stop.topic, stop.partition]
        return len(stopped)
