"""How old the newest moment is up to which `fanout` is known to be applied to the timelines.

Pure: `api/reading/delivery_poller.py` reads the ends of the logs and the checkpoints, and passes the time.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

# One a second is enough for the 5 s that matter. An older one that is not applied yet says no more than
# the oldest of these.
ENDS_MAX = 16


@dataclass(slots=True)
class DeliveryAge:
    """Compares where the logs ended at several moments with what has been applied since.

    Everything that was published before a moment is applied once each checkpoint has reached the end
    that its log had at that moment.
    """

    # The newest moment up to which all is applied, in seconds; None as long as none is known.
    applied_s: float | None = field(default=None, init=False)
    _ends: deque[tuple[float, Mapping[int, int]]] = field(
        default_factory=lambda: deque(maxlen=ENDS_MAX), init=False
    )

    def observe(self, now_s: float, ends: Mapping[int, int], checkpoints: Mapping[int, int]) -> None:
        """Take the `ends` of all partitions, read at `now_s`, and the checkpoints, read after them.

        A partition without a checkpoint counts as one of which nothing has been applied.
        """
        self._ends.append((now_s, ends))
        while self._ends and _reached(self._ends[0][1], checkpoints):
            self.applied_s, _ = self._ends.popleft()


def _reached(ends: Mapping[int, int], checkpoints: Mapping[int, int]) -> bool:
    return all(checkpoints.get(partition, 0) >= end for partition, end in ends.items())
