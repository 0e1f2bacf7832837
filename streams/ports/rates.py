"""The port of the token buckets that all processes share.

Implemented by the real store and by its in-memory twin.
"""

from typing import Protocol

from streams.core.limits.rates import Rate


class SharedRates(Protocol):
    """One token bucket by name. A bucket that does not exist is full."""

    async def spend(self, bucket: str, tokens: int, rate: Rate) -> float:
        """Take tokens, even if fewer are left; returns what is left, which is negative for a debt.

        A debt is at most `rate.burst`. The refill pays it first. Repeating the call takes the
        tokens again.

        Raises:
            StoreUnavailable: It is not known whether the tokens were taken.
        """
