"""Bulk gives way to work that somebody waits for: what both share is the processor, here and in the stores.

A bounded number of calls in flight alone does not do it: on a machine that is busy each of
them takes longer, and so does everything beside them.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass(slots=True)
class BackgroundThrottle:
    """What one process has in hand that somebody waits for, and how long others rest meanwhile.

    Whoever gives way works one part of the time in `rest_ratio` + 1 while there is such work,
    and all of it while there is none. No rest is longer than `rest_s_max` seconds, also where a
    store takes long to answer; so nobody stands still for good.
    """

    rest_ratio: int
    rest_s_max: float
    _in_hand: int = field(default=0, init=False)

    @contextmanager
    def waited_for(self) -> Iterator[None]:
        """Inside, others give way."""
        self._in_hand += 1
        try:
            yield
        finally:
            self._in_hand -= 1

    async def rest(self, worked_s: float) -> None:
        """After `worked_s` seconds of work: let what is waited for, if there is any, have the machine."""
        if self._in_hand > 0:
            await asyncio.sleep(min(worked_s * self.rest_ratio, self.rest_s_max))
