"""When a partition must stop: too many dead letters in a row, or in the last `window_records`.

Without this limit, after a bad deploy of a publisher or of this consumer, the consumer would turn
every record of the topic into a dead letter. Pure; one instance for each partition.
"""

from collections import deque
from dataclasses import dataclass, field


@dataclass(slots=True)
class DeadLetterLimit:
    """Counts outcomes in the order of offsets."""

    in_a_row_max: int
    window_records: int
    ratio_max: float
    _in_a_row: int = field(default=0, init=False)
    _window: deque[bool] = field(default_factory=deque, init=False)
    _dead: int = field(default=0, init=False)

    def record(self, dead: bool) -> str | None:
        """Record one outcome; returns the reason if the partition must stop after it, else None."""
        self._in_a_row = self._in_a_row + 1 if dead else 0
        self._window.append(dead)
        self._dead += dead
        if len(self._window) > self.window_records:
            self._dead -= self._window.popleft()
        if self._in_a_row >= self.in_a_row_max:
            return f"{self._in_a_row} dead letters in a row (limit {self.in_a_row_max})"
        full = len(self._window) == self.window_records
        if full and self._dead > self.ratio_max * self.window_records:
            return f"{self._dead} of the last {self.window_records} records were dead letters"
        return None
