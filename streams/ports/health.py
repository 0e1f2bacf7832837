"""Ports of what a process asks a store about itself: whether it takes writes and reads, and its time."""

from typing import Protocol


class StoreProbe(Protocol):
    """One small value of one store. Every process overwrites the same value, so it never grows."""

    async def check(self) -> None:
        """Write the value, and read it.

        Raises:
            StoreUnavailable: The store does not take writes, or does not take reads.
        """


class StoreClock(Protocol):
    """The wall clock of one store, as one of its servers reads it."""

    async def now_us(self) -> int:
        """Return the server's time in microseconds since 1970, exact to a millisecond at least.

        Raises:
            StoreUnavailable: The store did not answer.
        """
