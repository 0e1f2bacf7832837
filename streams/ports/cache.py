"""Port of the short-lived cache."""

from collections.abc import Mapping, Sequence
from typing import Protocol


class Cache(Protocol):
    """Short-lived copies of what the database holds, never trusted after a write.

    A copy is filled only under a lease that any write removes: read, then a write
    elsewhere, then the fill would otherwise bring the old value back.
    """

    async def get(self, keys: Sequence[bytes]) -> list[bytes | None]: ...

    async def lease(self, keys: Sequence[bytes]) -> bytes:
        """Take the right to fill those of `keys` that nobody has; answers the token."""

    async def fill(self, token: bytes, values: Mapping[bytes, bytes], ttl_s: int) -> None:
        """Store the values whose lease still stands."""

    async def invalidate(self, keys: Sequence[bytes]) -> None:
        """Remove copies and leases; after it returns no older value can be read."""
