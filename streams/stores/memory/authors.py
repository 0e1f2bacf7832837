"""Authors' delivery modes, the authors whose photos are pulled, and undelivered photos, in memory."""

from collections.abc import Mapping

from schemas.ids import PhotoId, UserId
from streams.core.delivery import Mode
from streams.ports.photos import Authors, PulledAuthors, UndeliveredPhotos


class MemoryAuthors(Authors):
    """Modes by author, in a dict."""

    def __init__(self) -> None:
        self._modes: dict[UserId, Mode] = {}

    async def mode_by_size(self, author: UserId) -> Mode:
        return self._modes.get(author, Mode.PUSH)

    async def remember_mode(self, author: UserId, mode: Mode) -> None:
        self._modes[author] = mode


class MemoryPulledAuthors(PulledAuthors):
    """A set of authors; its version is the number of calls of `add`."""

    def __init__(self) -> None:
        self._authors: set[UserId] = set()
        self._adds = 0

    async def add(self, author: UserId) -> None:
        self._authors.add(author)
        self._adds += 1

    async def version(self) -> str:
        return str(self._adds)

    async def all(self) -> frozenset[UserId]:
        return frozenset(self._authors)


class MemoryUndeliveredPhotos(UndeliveredPhotos):
    """Authors by photo, in a dict."""

    def __init__(self) -> None:
        self._authors: dict[PhotoId, UserId] = {}

    async def begin(self, photo: PhotoId, author: UserId) -> None:
        self._authors[photo] = author

    async def end(self, photo: PhotoId, author: UserId) -> None:
        self._authors.pop(photo, None)

    async def all(self) -> Mapping[PhotoId, UserId]:
        return dict(self._authors)
