"""The budget of the bulk lane, which falls while Redis or the normal lane is slow. Pure.

It is halved each second in which Redis is slow or the normal lane is late, and otherwise grows by a
twentieth of its maximum: so it falls at once, and takes half a minute to recover.
"""

from dataclasses import dataclass, field

STEPS = 20


@dataclass(slots=True)
class BulkBudget:
    """Deliveries a second: at most `per_s_max`, and at least a twentieth of it, so that bulk never stops."""

    per_s_max: int
    redis_ms_max: int
    oldest_s_max: float
    per_s: int = field(init=False)

    def __post_init__(self) -> None:
        self.per_s = self.per_s_max

    def observe(self, *, redis_ms: float, oldest_s: float) -> None:
        """Take the time of a call of Redis, and the age of the oldest record of the normal lane."""
        step = max(1, self.per_s_max // STEPS)
        if redis_ms > self.redis_ms_max or oldest_s > self.oldest_s_max:
            self.per_s = max(step, self.per_s // 2)
        else:
            self.per_s = min(self.per_s_max, self.per_s + step)
