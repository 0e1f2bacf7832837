"""This process's copy of the authors whose photos readers must pull; at most a second old or so."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic

from schemas.ids import UserId
from streams.errors import StoreUnavailable
from streams.ports.photos import PulledAuthors

log = logging.getLogger(__name__)

# A page is complete when it has all that became ready more than 5 s ago, so it may not
# know authors by a view that is older.
AGE_S_MAX = 5.0
# Marks are ordered by the clocks of those who write them: one behind the last does not show.
# So the set is loaded now and then all the same.
RELOAD_S = 3.0


@dataclass(slots=True)
class PulledAuthorsPoller:
    """Polls one cell, and loads the set when that has changed, or every `RELOAD_S`."""

    pulled: PulledAuthors
    refresh_s: float
    clock_s: Callable[[], float] = monotonic
    authors: frozenset[UserId] = field(default=frozenset(), init=False)
    _mark: str | None = field(default=None, init=False)
    _known_s: float | None = field(default=None, init=False)
    _loaded_s: float = field(default=0.0, init=False)

    def is_fresh(self) -> bool:
        """Whether every author that was named more than 5 s ago is in `authors`."""
        return self._known_s is not None and self.clock_s() - self._known_s <= AGE_S_MAX

    async def refresh(self) -> None:
        """Look for new authors.

        Raises:
            StoreUnavailable: The database did not answer; the view grows old.
        """
        asked_s = self.clock_s()
        # The mark first: an author who is named between the two changes the mark again.
        mark = await self.pulled.version()
        if mark != self._mark or asked_s - self._loaded_s >= RELOAD_S:
            self.authors = await self.pulled.all()
            self._mark, self._loaded_s = mark, asked_s
        self._known_s = asked_s

    async def run(self) -> None:
        """For ever, every `refresh_s`."""
        while True:
            try:
                await self.refresh()
            except StoreUnavailable as error:
                log.debug("the view of pulled authors grows old: %s", error)
            await asyncio.sleep(self.refresh_s)
