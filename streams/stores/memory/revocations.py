"""Revocations in memory."""

from collections.abc import Callable

from streams.ports.revocations import Revocation, Revocations


class MemoryRevocations(Revocations):
    """Revocations with the times at which they expire; the version is the number of calls of `revoke`."""

    def __init__(self, clock_ms: Callable[[], int]) -> None:
        self._clock_ms = clock_ms
        self._stored: dict[tuple[str, str, int], tuple[Revocation, float]] = {}
        self._revoked = 0

    async def revoke(self, revocation: Revocation, *, life_s: int | None) -> None:
        expires_ms = float("inf") if life_s is None else self._clock_ms() + life_s * 1_000
        key = (revocation.kind, revocation.subject, revocation.revoked_ms)
        self._stored[key] = (revocation, expires_ms)
        self._revoked += 1

    async def version(self) -> str:
        return str(self._revoked)

    async def all(self) -> list[Revocation]:
        now_ms = self._clock_ms()
        stored = [self._stored[key] for key in sorted(self._stored)]
        return [revocation for revocation, expires_ms in stored if expires_ms > now_ms]
