"""Background work pauses while the same process has urgent work, such as posts to deliver.

A limit on the background calls in flight is not enough: on a busy machine each of them takes
longer, and slows down everything beside it. Both kinds of work share the processor, here and in
the stores.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass(slots=True)
class BackgroundThrottle:
    """Counts the urgent work of one process, and slows background work down while there is any.

    While there is urgent work, background work gets one part of the time in `rest_ratio` + 1; while
    there is none, it gets all of it. No rest is longer than `rest_s_max` seconds, so that background
    work also goes on where the stores are slow.
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
