"""A circuit breaker: after enough failures in a row a store is left alone for a while.

Pure: the caller passes the time. A slow store so costs one deadline, not one for
each request. While open, one trial is let through each `open_s`.
"""

from dataclasses import dataclass, field


@dataclass(slots=True)
class Breaker:
    """Closed below `failures_max` failures in a row; otherwise one trial every `open_s` seconds."""

    failures_max: int
    open_s: float
    _failures: int = field(default=0, init=False)
    _retry_at_s: float = field(default=0.0, init=False)

    @property
    def is_open(self) -> bool:
        return self._failures >= self.failures_max

    def allows(self, now_s: float) -> bool:
        """Whether an operation may start; when open, granting one trial postpones the next."""
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
