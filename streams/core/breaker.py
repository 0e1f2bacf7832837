"""A circuit breaker: after enough failures in a row it rejects operations on a store for a while.

While the breaker is open, operations fail at once, so a slow store costs one deadline instead of
one for each operation. Every `open_s` seconds, one trial may start. Pure: the caller passes the
time.
"""

from dataclasses import dataclass, field


@dataclass(slots=True)
class Breaker:
    """Open after `failures_max` failures in a row; then allows one trial every `open_s` seconds."""

    failures_max: int
    open_s: float
    _failures: int = field(default=0, init=False)
    _retry_at_s: float = field(default=0.0, init=False)

    @property
    def is_open(self) -> bool:
        return self._failures >= self.failures_max

    def allows(self, now_s: float) -> bool:
        """Return whether an operation may start: while open, one trial every `open_s` seconds."""
        if not self.is_open:
            return True
        if now_s < self._retry_at_s:
            return False
        self._retry_at_s = now_s + self.open_s
        return True

    def succeeded(self) -> None:
        self._failures = 0

    def failed(self, now_s: float) -> None:
        self._failures += 1
        if self.is_open:
            self._retry_at_s = now_s + self.open_s
