"""Authors' delivery modes, and the authors whose photos are pulled, in memory."""

from schemas.ids import UserId
from streams.core.delivery import Mode
from streams.ports.photos import Authors, PulledAuthors


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
