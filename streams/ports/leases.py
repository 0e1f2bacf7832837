"""The port of the slots that all processes share.

Implemented by the real store and by its in-memory twin.
"""

from typing import Protocol


class Leases(Protocol):
    """Slots by name. A holder that does not take its slot again within `ttl_ms` loses it."""

    async def take(self, name: str, holder: str, *, slots_max: int, ttl_ms: int) -> bool:
        """Take one of `slots_max` slots, or hold it for another `ttl_ms`; returns whether there is one.

        Raises:
            StoreUnavailable: It is not known whether the slot was taken. If it was, it expires.
        """

    async def release(self, name: str, holder: str) -> None:
        """Release the holder's slot; does nothing if it has none. It is released after earlier calls.

        Raises:
            StoreUnavailable: It is not known whether the slot was released. If not, it expires.
        """
