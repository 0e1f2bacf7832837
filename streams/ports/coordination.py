"""Ports by which processes agree: stopped partitions, and the shards that ids are minted with.

Implemented by the real store and by its in-memory twin. Every method raises
`StoreUnavailable` when nothing is known about what it was asked for; every method may be
repeated.
"""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """A partition that stands still at `position` until its group is resumed."""

    group: str
    topic: str
    partition: int
    position: int
    reason: str
    since_ms: int


class StopStore(Protocol):
    async def stop(self, stop: Stop) -> None: ...

    async def stops(self, group: str) -> list[Stop]: ...

    async def resume(self, group: str) -> int:
        """Forget the group's stops; answers how many there were."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardLease:
    """A shard that this process alone mints with; start strictly after `last_ms`."""

    shard: int
    last_ms: int


class ShardLeases(Protocol):
    async def acquire(self, holder: str, now_ms: int) -> ShardLease:
        """Lease a shard of this system that nobody holds; LookupError when all are held."""

    async def reserve(self, holder: str, shard: int, until_ms: int, now_ms: int) -> None:
        """Note that ids up to `until_ms` may be issued, and renew; PermissionError if it is another's."""

    async def release(self, holder: str, shard: int) -> None: ...
