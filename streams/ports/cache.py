"""Port of the short-lived cache."""

from collections.abc import Mapping, Sequence
from typing import Protocol


class Cache(Protocol):
    """Short-lived cached values of what the database holds.

    A value is filled only under a lease, and every write of the database removes the lease. Without
    leases, a process that read before the write could fill the old value after it.
    """

    async def get(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """Return the cached value of each key, in order; None where there is none."""

    async def lease(self, keys: Sequence[bytes]) -> bytes:
        """Lease those of `keys` that have neither a value nor a lease; returns the lease's token."""

    async def fill(self, token: bytes, values: Mapping[bytes, bytes], ttl_s: int) -> None:
        """Store each value whose key is still leased under `token`."""

    async def invalidate(self, keys: Sequence[bytes]) -> None:
        """Remove values and leases. Once it has returned, no older value can be read."""
