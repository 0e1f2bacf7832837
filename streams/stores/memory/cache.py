"""The short-lived cache in memory."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from streams.ports.cache import Cache
from streams.stores.cache.tails import appended

LEASE_MS = 5_000


@dataclass(frozen=True, slots=True)
class _Slot:
    """Either a lease, with its token, or a value."""

    token: bytes | None
    value: bytes | None
    expires_ms: int


class MemoryCache(Cache):
    """Values and leases by key; `clock_ms` decides when they expire."""

    def __init__(self, clock_ms: Callable[[], int]) -> None:
        self._clock_ms = clock_ms
        self._slots: dict[bytes, _Slot] = {}
        self._leases = 0

    async def get(self, keys: Sequence[bytes]) -> list[bytes | None]:
        return [slot.value if (slot := self._slot(key)) is not None else None for key in keys]

    async def lease(self, keys: Sequence[bytes]) -> bytes:
        self._leases += 1
        token = self._leases.to_bytes(8)
        for key in keys:
            if self._slot(key) is None:
                self._slots[key] = _Slot(token, None, self._clock_ms() + LEASE_MS)
        return token

    async def fill(self, token: bytes, values: Mapping[bytes, bytes], ttl_s: int) -> None:
        for key, value in values.items():
            slot = self._slot(key)
            if slot is not None and slot.token == token:
                self._slots[key] = _Slot(None, value, self._clock_ms() + ttl_s * 1_000)

    async def append(self, records: Mapping[bytes, Sequence[bytes]]) -> None:
        for key, changes in records.items():
            slot = self._slots.pop(key, None)
            if slot is not None and slot.value is not None:
                value = appended(slot.value, changes)
                if value is not None:
                    self._slots[key] = replace(slot, value=value)

    async def invalidate(self, keys: Sequence[bytes]) -> None:
        for key in keys:
            self._slots.pop(key, None)

    async def invalidate_reachable(self, keys: Sequence[bytes]) -> frozenset[bytes]:
        await self.invalidate(keys)
        return frozenset()

    def _slot(self, key: bytes) -> _Slot | None:
        slot = self._slots.get(key)
        return slot if slot is not None and slot.expires_ms > self._clock_ms() else None
