"""How old the newest moment is up to which deliveries are known to be in the timelines.

Pure: `api/reading/delivery_poller.py` reads what this compares, and passes the time.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

from schemas.ids import UserId
from streams.core.checkpoints import reached

# One a second is enough for the 5 s that matter. An older one that is not applied yet says no more than
# the oldest of these.
ENDS_MAX = 16


@dataclass(slots=True)
class DeliveryAge:
    """Compares where the logs ended at several moments with what has been applied since.

    Everything that was published before a moment is applied once each checkpoint has reached the end
    that its log had at that moment. What was ready at that moment and not published yet had one of the
    `undelivered` authors.
    """

    # The newest moment up to which all is applied, in seconds; None as long as none is known.
    applied_s: float | None = field(default=None, init=False)
    # The authors of the photos that were ready at that moment and perhaps not published.
    undelivered: frozenset[UserId] = field(default=frozenset(), init=False)
    _moments: deque[tuple[float, frozenset[UserId], Mapping[int, int]]] = field(
        default_factory=lambda: deque(maxlen=ENDS_MAX), init=False
    )

    def observe(
        self,
        now_s: float,
        undelivered: frozenset[UserId],
        ends: Mapping[int, int],
        checkpoints: Mapping[int, int],
    ) -> None:
        """Take what was read at `now_s`: the undelivered authors first, then the ends of the logs, and the
        checkpoints last.

        A partition without a checkpoint counts as one of which nothing has been applied.
        """
        self._moments.append((now_s, undelivered, ends))
        while self._moments and reached(self._moments[0][2], checkpoints):
            self.applied_s, self.undelivered, _ = self._moments.popleft()
