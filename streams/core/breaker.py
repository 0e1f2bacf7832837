"""A circuit breaker: after enough failures in a row it rejects operations on a store for a while.

While the breaker is open, requests fail at once, so a slow store costs one deadline rather than
one for each request. It lets one trial through every `open_s`. Pure: the caller passes the time.
"""

from dataclasses import dataclass, field


@dataclass(slots=True)
class Breaker:
    """Closed below `failures_max` failures in a row; then open, with one trial every `open_s` seconds."""

    failures_max: int
    open_s: float
    _failures: int = field(default=0, init=False)
    _retry_at_s: float = field(default=0.0, init=False)

    @property
    def is_open(self) -> bool:
        return self._failures >= self.failures_max

    def allows(self, now_s: float) -> bool:
        """Return whether an operation may start. While open, each trial postpones the next by `open_s`."""
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
