"""The API's set of pulled authors is at most some seconds old, even if a writer's clock is
wrong."""

from collections.abc import Collection

from api.reading.pulled_authors import RELOAD_S, PulledAuthorsPoller
from schemas.ids import UserId

FIRST, SECOND = UserId(1), UserId(2)


class UnchangedVersion:
    """A set of authors whose version does not change, because a writer's clock is behind."""

    def __init__(self) -> None:
        self.authors = {FIRST}

    async def add(self, authors: Collection[UserId]) -> None:
        self.authors |= set(authors)

    async def version(self) -> str:
        return "the same"

    async def all(self) -> frozenset[UserId]:
        return frozenset(self.authors)


async def test_an_author_who_does_not_change_the_version_is_seen() -> None:
    """The set is also reloaded at a fixed interval, so the author is seen after the next reload."""
    now = [100.0]
    pulled = UnchangedVersion()
    poller = PulledAuthorsPoller(pulled, 1.0, clock_s=lambda: now[0])
    await poller.refresh()
    await pulled.add([SECOND])
    now[0] += RELOAD_S
    await poller.refresh()

    assert {FIRST, SECOND} == poller.authors
