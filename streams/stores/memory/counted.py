"""Counted sets in memory: rows and their count share a bucket and are written at once."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from schemas.ids import PackedIds, pack_ids
from schemas.internal import SetKind
from streams.core.counted import Membership
from streams.core.sets import BucketKey, BucketState, BucketWrite, SetSummary
from streams.stores.memory.rows import LatestRows

T = TypeVar("T", int, PackedIds)


@dataclass(slots=True)
class _Cell(Generic[T]):
    """The later stamp wins, at equal stamps the greater value, as in Cassandra."""

    value: T | None = None
    stamp: int = -1

    def put(self, value: T, stamp: int) -> None:
        if self.value is None or (stamp, value) > (self.stamp, self.value):
            self.value, self.stamp = value, stamp


class _Bucket:
    """A partition: rows, their count, and, in the first bucket, the head's two cells."""

    def __init__(self, clock_ms: Callable[[], int], removed_ttl_ms: int) -> None:
        self.rows = LatestRows(clock_ms, removed_ttl_ms)
        self.live = _Cell[int]()
        self.page = _Cell[PackedIds]()
        self.level = _Cell[int]()
        self.total = _Cell[int]()

    def write(self, write: BucketWrite) -> None:
        for member, state in write.rows.items():
            self.rows.put(member, state)
        if write.live is not None:
            self.live.put(write.live, write.stamp)
            if write.page is not None:
                self.page.put(write.page, write.stamp)
        if write.head is not None:
            self.level.put(write.head.level, write.stamp)
            self.total.put(write.head.total, write.stamp)

    def members(self) -> list[int]:
        return [member for member, state in self.rows.items() if not state.removed]


class MemoryCountedSets:
    """Every bucket of every set."""

    def __init__(self, clock_ms: Callable[[], int], removed_ttl_ms: int) -> None:
        self._clock_ms = clock_ms
        self._removed_ttl_ms = removed_ttl_ms
        self._buckets: dict[BucketKey, _Bucket] = {}

    async def summaries(self, kind: SetKind, owners: Sequence[int]) -> dict[int, SetSummary]:
        return {owner: self._head(kind, owner) for owner in owners}

    def _head(self, kind: SetKind, owner: int) -> SetSummary:
        bucket = self._of(BucketKey(kind, owner, 0, 0))
        stamp = max(0, bucket.total.stamp)
        return SetSummary(level=bucket.level.value or 0, total=bucket.total.value or 0, stamp=stamp)

    async def read(
        self, wanted: Mapping[BucketKey, Collection[int]], *, totals: Mapping[BucketKey, int]
    ) -> dict[BucketKey, BucketState]:
        return {key: self._state(key, members) for key, members in wanted.items()}

    def _state(self, key: BucketKey, members: Collection[int]) -> BucketState:
        bucket = self._of(key)
        live = bucket.live.value or 0
        if key.level == 0:
            return BucketState(dict(bucket.rows.items()), live, is_whole=True)
        found = {member: bucket.rows.get(member) for member in members}
        rows = {member: state for member, state in found.items() if state is not None}
        return BucketState(rows, live, is_whole=False)

    async def write(self, writes: Sequence[BucketWrite]) -> None:
        for write in writes:
            self._buckets.setdefault(write.key, self._of(write.key)).write(write)

    async def bucket(self, key: BucketKey) -> dict[int, Membership]:
        return dict(self._of(key).rows.items())

    async def bucket_counts(self, kind: SetKind, owner: int, level: int) -> dict[int, int]:
        return {
            key.bucket: bucket.live.value
            for key, bucket in self._buckets.items()
            if (key.kind, key.owner, key.level) == (kind, owner, level) and bucket.live.value is not None
        }

    async def members(self, keys: Sequence[BucketKey]) -> dict[BucketKey, PackedIds]:
        found = {key: self._of(key) for key in keys}
        return {
            key: PackedIds(pack_ids(bucket.members())) if bucket.page.value is None else bucket.page.value
            for key, bucket in found.items()
        }

    async def page(self, key: BucketKey, *, after: int, limit: int) -> list[int]:
        return [member for member in self._of(key).members() if member > after][:limit]

    def _of(self, key: BucketKey) -> _Bucket:
        """The bucket, or an empty one that is not kept: most buckets of a level are never written."""
        return self._buckets.get(key) or _Bucket(self._clock_ms, self._removed_ttl_ms)
