"""Background work pauses while the same process has urgent work, such as posts to deliver.

A limit on the background calls in flight is not enough. Both kinds of work share the CPUs of this
machine and of the stores. So on a busy machine each background call takes longer, and slows down
the urgent calls meanwhile.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass(slots=True)
class BackgroundThrottle:
    """Counts the urgent work of one process, and slows background work down while there is any.

    While there is urgent work, background work runs for 1 / (`rest_ratio` + 1) of the time;
    otherwise it never rests. No rest is longer than `rest_s_max` seconds, so that background work
    continues even if slow stores make its calls long.
    """

    rest_ratio: int
    rest_s_max: float
    _urgent: int = field(default=0, init=False)

    @contextmanager
    def urgent(self) -> Iterator[None]:
        """Count the block as urgent work, also if it raises."""
        self._urgent += 1
        try:
            yield
        finally:
            self._urgent -= 1

    async def rest(self, worked_s: float) -> None:
        """Sleep in proportion to `worked_s` seconds of background work, if there is urgent work."""
        if self._urgent > 0:
            await asyncio.sleep(min(worked_s * self.rest_ratio, self.rest_s_max))
