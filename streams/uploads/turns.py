"""What a user may do once at a time: one request for each idempotency key, a few images.

The turns of a process are known to it. Those of all processes are leases, which end by themselves when a
process dies. While the store of the leases is away, each process limits alone.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from uuid import uuid4

from schemas.ids import UserId
from streams import metrics
from streams.errors import StoreUnavailable
from streams.ports.leases import Leases
from streams.uploads.errors import KeyInUse

# A lease survives one renewal that fails.
RENEWALS_PER_LEASE = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadTurns:
    """The turns of the uploads that are under way.

    Without Redis, requests of several processes that race with one key are settled by the claim in the
    database.
    """

    leases: Leases
    lease_ms: int
    images_of_user_max: int
    _keys: set[tuple[UserId, str]] = field(default_factory=set, init=False)

    @asynccontextmanager
    async def key(self, user: UserId, key: str | None) -> AsyncIterator[None]:
        """Hold the idempotency key; does nothing without a key.

        Raises:
            KeyInUse: Another request with the key is under way.
        """
        if key is None:
            yield
            return
        if (user, key) in self._keys:
            raise _in_use()
        self._keys.add((user, key))
        try:
            async with self._lease(f"key:{user}:{key}", 1) as is_held:
                if not is_held:
                    raise _in_use()
                yield
        finally:
            self._keys.discard((user, key))

    @asynccontextmanager
    async def image(self, user: UserId) -> AsyncIterator[bool]:
        """Yield whether the user may send one more image, and hold its slot."""
        async with self._lease(f"images:{user}", self.images_of_user_max) as is_held:
            yield is_held

    @asynccontextmanager
    async def _lease(self, name: str, slots_max: int) -> AsyncIterator[bool]:
        holder = uuid4().hex
        if not await self._take(name, holder, slots_max):
            yield False
            return
        renewing = asyncio.create_task(self._renew(name, holder, slots_max), name=f"renew the lease {name}")
        try:
            yield True
        finally:
            renewing.cancel()
            with suppress(StoreUnavailable):
                await self.leases.release(name, holder)

    async def _renew(self, name: str, holder: str, slots_max: int) -> None:
        while True:
            await asyncio.sleep(self.lease_ms / 1_000 / RENEWALS_PER_LEASE)
            await self._take(name, holder, slots_max)

    async def _take(self, name: str, holder: str, slots_max: int) -> bool:
        try:
            return await self.leases.take(name, holder, slots_max=slots_max, ttl_ms=self.lease_ms)
        except StoreUnavailable:
            metrics.LIMITS_UNSHARED.labels("upload_turn").inc()
            return True


def _in_use() -> KeyInUse:
    metrics.UPLOADS_REFUSED.labels("key_in_use").inc()
    return KeyInUse()
