"""The set of pulled authors as this process knows it, usually at most about a second old."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic

from schemas.ids import UserId
from streams.errors import StoreUnavailable
from streams.ports.photos import PulledAuthors

log = logging.getLogger(__name__)

# A complete page has all photos that became ready more than 5 s ago. With an older set, a page does
# not claim to be complete.
AGE_S_MAX = 5.0
# Versions are ordered by the clocks of their writers, so a writer whose clock is behind does not
# change the version. The set is therefore also loaded at intervals.
RELOAD_S = 3.0


@dataclass(slots=True)
class PulledAuthorsPoller:
    """Polls the version of the set, and loads the set if it has changed, or every `RELOAD_S` seconds."""

    pulled: PulledAuthors
    refresh_s: float
    clock_s: Callable[[], float] = monotonic
    authors: frozenset[UserId] = field(default=frozenset(), init=False)
    _version: str | None = field(default=None, init=False)
    _known_s: float | None = field(default=None, init=False)
    _loaded_s: float = field(default=0.0, init=False)

    def is_fresh(self) -> bool:
        """Whether every author that was added more than 5 s ago is in `authors`."""
        return self._known_s is not None and self.clock_s() - self._known_s <= AGE_S_MAX

    async def refresh(self) -> None:
        """Load the set if it has changed.

        Raises:
            StoreUnavailable: The database did not respond; `authors` may be old.
        """
        began_s = self.clock_s()
        # Read the version first: if an author is added between the two reads, the version changes
        # again, and the next refresh loads the set again.
        version = await self.pulled.version()
        if version != self._version or began_s - self._loaded_s >= RELOAD_S:
            self.authors = await self.pulled.all()
            self._version, self._loaded_s = version, began_s
        self._known_s = began_s

    async def run(self) -> None:
        """Refresh every `refresh_s` seconds; runs until cancelled."""
        while True:
            try:
                await self.refresh()
            except StoreUnavailable as error:
                log.debug("the pulled authors could not be refreshed: %s", error)
            await asyncio.sleep(self.refresh_s)
