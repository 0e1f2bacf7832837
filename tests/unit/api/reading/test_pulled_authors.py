"""The view of pulled authors is never more than seconds old, whatever the writers' clocks say."""

from api.reading.pulled_authors import RELOAD_S, PulledAuthorsPoller
from schemas.ids import UserId

FIRST, SECOND = UserId(1), UserId(2)


class StuckMark:
    """Authors whose mark does not move, because a writer's clock is behind."""

    def __init__(self) -> None:
        self.authors = {FIRST}

    async def add(self, author: UserId) -> None:
        self.authors.add(author)

    async def version(self) -> str:
        return "the same"

    async def all(self) -> frozenset[UserId]:
        return frozenset(self.authors)


async def test_an_author_whose_mark_does_not_show_is_seen_all_the_same() -> None:
    """By the next reload."""
    now = [100.0]
    pulled = StuckMark()
    view = PulledAuthorsPoller(pulled, 1.0, clock_s=lambda: now[0])
    await view.refresh()
    await pulled.add(SECOND)
    now[0] += RELOAD_S
    await view.refresh()

    assert {FIRST, SECOND} == view.authors
