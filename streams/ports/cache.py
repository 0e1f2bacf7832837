"""Port of the short-lived cache."""

from collections.abc import Mapping, Sequence
from typing import Protocol


class Cache(Protocol):
    """Short-lived cached values of what the database holds.

    A value is stored only under a lease, and a process that writes the database then removes the
    lease. Without leases, a process that has read the database before the write could store the old
    value after the write.
    """

    async def get(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """Return the cached value of each key, in order; None where there is none."""

    async def lease(self, keys: Sequence[bytes]) -> bytes:
        """Lease those of `keys` that have no value and no lease; returns the leases' token."""

    async def fill(self, token: bytes, values: Mapping[bytes, bytes], ttl_s: int) -> None:
        """Store each value whose key is still leased under `token`."""

    async def invalidate(self, keys: Sequence[bytes]) -> None:
        """Remove values and leases. After this has returned, no older value can be read."""

    async def invalidate_reachable(self, keys: Sequence[bytes]) -> frozenset[bytes]:
        """Like `invalidate`, but do not wait long for one server of several.

        Returns the keys of which older values may still be read: invalidate them later. With a single server
        there are none, and this waits for it.
        """

    async def append(self, records: Mapping[bytes, Sequence[bytes]]) -> None:
        """Append records to values with a tail (`stores/cache/tails.py`), each key by itself.

        Removes the lease, and a value that cannot have its records. After this has returned, no value without
        them can be read. Appending again changes nothing. The TTL of a value stays what it was.
        """
