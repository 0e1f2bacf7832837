"""Token buckets: a rate for the long run, and a burst that may be spent at once. Pure."""

from dataclasses import dataclass
from math import inf


@dataclass(frozen=True, slots=True)
class Rate:
    """At most `burst` tokens at once, and `per_s` tokens a second in the long run."""

    per_s: float
    burst: int

    @property
    def forgiven_s(self) -> float:
        """The seconds in which any bucket becomes full, also one with the greatest debt."""
        return 2 * self.burst / self.per_s


class TokenBucket:
    """Tokens that are spent, and refilled at a rate. The caller passes the time.

    The number of tokens may be negative: a debt, which the refill pays first.
    """

    def __init__(self, rate: Rate, now_s: float, tokens: float = inf) -> None:
        self._rate = rate
        self._tokens = min(tokens, rate.burst)
        self._at_s = now_s

    def tokens(self, now_s: float) -> float:
        """Return the tokens that are left. If the clock goes back, nothing is refilled."""
        refill = max(0.0, now_s - self._at_s) * self._rate.per_s
        self._tokens = min(self._rate.burst, self._tokens + refill)
        self._at_s = now_s
        return self._tokens

    def spend(self, tokens: int, now_s: float) -> float:
        """Take tokens, even if fewer are left; returns what is left. A debt is at most a burst."""
        self._tokens = max(-self._rate.burst, self.tokens(now_s) - tokens)
        return self._tokens

    def lower_to(self, tokens: float, now_s: float) -> None:
        """Lower the number of tokens, if it is above `tokens`."""
        self._tokens = min(self.tokens(now_s), tokens)

    def wait_s(self, now_s: float) -> float:
        """Return the seconds until there is a whole token; 0 if there is one."""
        return max(0.0, (1 - self.tokens(now_s)) / self._rate.per_s)
