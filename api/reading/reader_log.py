"""Which readers asked for their feeds in this hour, so that lost timelines are rebuilt in this order."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field

from schemas.ids import UserId
from streams.polling import poll
from streams.ports.timelines import HOUR_S, ActiveReaders

log = logging.getLogger(__name__)

RECORD_S = 5.0
# 20 MB. If more read in an hour, some are recorded twice.
READERS_MAX = 200_000


@dataclass(slots=True)
class ReaderLog:
    """Records each reader of this process once an hour, a batch every `RECORD_S` seconds.

    A page waits for nothing. Readers whom a process that dies has not recorded yet are recorded in the next
    hour in which they read; until then only the order of rebuilds is less exact. `clock_us` is since 1970.
    """

    active_readers: ActiveReaders
    clock_us: Callable[[], int]
    readers_max: int = READERS_MAX
    _hour: int = field(init=False)
    _seen: set[UserId] = field(default_factory=set, init=False)
    _new: list[UserId] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        self._hour = self._hour_now()

    def note(self, reader: UserId) -> None:
        """The reader asks for a page."""
        if reader not in self._seen and len(self._seen) < self.readers_max:
            self._seen.add(reader)
            self._new.append(reader)

    async def record(self) -> None:
        """Store the readers that are new since the last call.

        Raises:
            StoreUnavailable: The next call stores them.
        """
        hour = self._hour_now()
        new, self._new = self._new, []
        try:
            await self.active_readers.record(hour, new)
        except BaseException:
            self._new = new + self._new
            raise
        if hour != self._hour or len(self._seen) >= self.readers_max:
            self._hour = hour
            self._seen = set(self._new)

    async def run(self) -> None:
        """Record every `RECORD_S` seconds; runs until cancelled."""
        await poll(self.record, RECORD_S, log=log, failure="the active readers were not recorded")

    def _hour_now(self) -> int:
        return self.clock_us() // 1_000_000 // HOUR_S
