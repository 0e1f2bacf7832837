"""Port of the check whether a store takes writes and reads now."""

from typing import Protocol


class StoreProbe(Protocol):
    """One small value of one store. Every process overwrites the same value, so it never grows."""

    async def check(self) -> None:
        """Write the value, and read it.

        Raises:
            StoreUnavailable: The store does not take writes, or does not take reads.
        """
