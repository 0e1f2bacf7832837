"""The set of pulled authors as this process knows it, usually at most about a second old."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic

from api.polled import Polled
from schemas.ids import UserId
from streams.polling import poll
from streams.ports.photos import PulledAuthors

log = logging.getLogger(__name__)

# A complete page has all photos that became ready more than 5 s ago. With an older set, a page does
# not claim to be complete.
AGE_S_MAX = 5.0
RELOAD_S = 3.0


@dataclass(slots=True)
class PulledAuthorsPoller:
    """Polls the set every `refresh_s` seconds."""

    pulled: PulledAuthors
    refresh_s: float
    clock_s: Callable[[], float] = monotonic
    authors: frozenset[UserId] = field(default=frozenset(), init=False)
    _polled: Polled[frozenset[UserId]] = field(init=False)

    def __post_init__(self) -> None:
        self._polled = Polled(source=self.pulled, use=self._use, reload_s=RELOAD_S, clock_s=self.clock_s)

    def is_fresh(self) -> bool:
        """Whether every author that was added more than 5 s ago is in `authors`."""
        return self._polled.age_s() <= AGE_S_MAX

    async def refresh(self) -> None:
        """Load the set if it has changed.

        Raises:
            StoreUnavailable: The database did not respond; `authors` may be old.
        """
        await self._polled.refresh()

    async def run(self) -> None:
        """Refresh every `refresh_s` seconds; runs until cancelled."""
        await poll(self.refresh, self.refresh_s, log=log, failure="the pulled authors could not be refreshed")

    def _use(self, authors: frozenset[UserId]) -> None:
        self.authors = authors
