"""Authors' delivery modes, the authors whose photos are pulled, and undelivered photos, in memory."""

from collections.abc import Collection, Mapping, Sequence

from schemas.ids import PhotoId, UserId
from streams.core.delivery import Mode
from streams.ports.photos import Authors, PulledAuthors, UndeliveredPhotos


class MemoryAuthors(Authors):
    """Modes by author, in a dict."""

    def __init__(self) -> None:
        self._modes: dict[UserId, Mode] = {}

    async def modes_by_size(self, authors: Sequence[UserId]) -> dict[UserId, Mode]:
        return {author: self._modes.get(author, Mode.PUSH) for author in authors}

    async def remember_modes(self, modes: Mapping[UserId, Mode]) -> None:
        self._modes |= modes


class MemoryPulledAuthors(PulledAuthors):
    """A set of authors; its version is the number of calls of `add`."""

    def __init__(self) -> None:
        self._authors: set[UserId] = set()
        self._adds = 0

    async def add(self, authors: Collection[UserId]) -> None:
        self._authors |= set(authors)
        self._adds += 1

    async def version(self) -> str:
        return str(self._adds)

    async def all(self) -> frozenset[UserId]:
        return frozenset(self._authors)


class MemoryUndeliveredPhotos(UndeliveredPhotos):
    """Authors by photo, in a dict."""

    def __init__(self) -> None:
        self._authors: dict[PhotoId, UserId] = {}

    async def begin(self, photos: Collection[tuple[PhotoId, UserId]]) -> None:
        self._authors |= dict(photos)

    async def end(self, photos: Collection[tuple[PhotoId, UserId]]) -> None:
        for photo, _ in photos:
            self._authors.pop(photo, None)

    async def all(self) -> Mapping[PhotoId, UserId]:
        return dict(self._authors)
