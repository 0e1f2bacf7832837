"""Counted sets in memory: the rows and the count of a bucket are written together."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from schemas.ids import PackedIds, pack_ids
from schemas.internal import SetKind
from streams.core.sets import BucketKey, BucketState, BucketWrite, SetSummary, StoredPage
from streams.ports.edges import CountedSets
from streams.stores.memory.rows import LatestRows

T = TypeVar("T", int, PackedIds)


@dataclass(slots=True)
class _Cell(Generic[T]):
    """A value and its stamp. The later stamp wins, at equal stamps the greater value, as in Cassandra."""

    value: T | None = None
    stamp: int = -1

    def put(self, value: T, stamp: int) -> None:
        if self.value is None or (stamp, value) > (self.stamp, self.value):
            self.value, self.stamp = value, stamp


class _Bucket:
    """A partition: rows, count and page, and in the first bucket the two cells of the set summary."""

    def __init__(self, clock_ms: Callable[[], int], removed_ttl_ms: int) -> None:
        self.rows = LatestRows(clock_ms, removed_ttl_ms)
        self.count = _Cell[int]()
        self.page = _Cell[PackedIds]()
        self.level = _Cell[int]()
        self.total = _Cell[int]()

    def write(self, write: BucketWrite) -> None:
        for member, state in write.rows.items():
            self.rows.put(member, state)
        if write.count is not None:
            self.count.put(write.count, write.stamp)
            if write.page is not None:
                self.page.put(write.page, write.stamp)
        if write.summary is not None:
            self.level.put(write.summary.level, write.stamp)
            self.total.put(write.summary.total, write.stamp)

    def state(self) -> BucketState:
        stamp = max(0, self.count.stamp)
        return BucketState(dict(self.rows.items()), self.count.value or 0, is_whole=True, stamp=stamp)

    def members(self) -> list[int]:
        return [member for member, state in self.rows.items() if not state.removed]


class MemoryCountedSets(CountedSets):
    """The buckets of every set, by key."""

    def __init__(self, clock_ms: Callable[[], int], removed_ttl_ms: int) -> None:
        self._clock_ms = clock_ms
        self._removed_ttl_ms = removed_ttl_ms
        self._buckets: dict[BucketKey, _Bucket] = {}

    async def summaries(self, kind: SetKind, owners: Sequence[int]) -> dict[int, SetSummary]:
        return {owner: self._summary(kind, owner) for owner in owners}

    def _summary(self, kind: SetKind, owner: int) -> SetSummary:
        bucket = self._bucket(BucketKey(kind, owner, 0, 0))
        stamp = max(0, bucket.total.stamp)
        return SetSummary(level=bucket.level.value or 0, total=bucket.total.value or 0, stamp=stamp)

    async def read(
        self, wanted: Mapping[BucketKey, Collection[int]], *, totals: Mapping[BucketKey, int]
    ) -> dict[BucketKey, BucketState]:
        return {key: self._state(key, members) for key, members in wanted.items()}

    def _state(self, key: BucketKey, members: Collection[int]) -> BucketState:
        bucket = self._bucket(key)
        if key.level == 0:
            return bucket.state()
        rows = {member: state for member in members if (state := bucket.rows.get(member)) is not None}
        return replace(bucket.state(), rows=rows, is_whole=False)

    async def write(self, writes: Sequence[BucketWrite]) -> None:
        for write in writes:
            self._buckets.setdefault(write.key, self._bucket(write.key)).write(write)

    async def bucket(self, key: BucketKey) -> BucketState:
        return self._bucket(key).state()

    async def stored_page(self, key: BucketKey) -> StoredPage:
        bucket = self._bucket(key)
        return StoredPage(max(0, bucket.count.stamp), bucket.page.value, max(0, bucket.page.stamp))

    async def bucket_counts(self, kind: SetKind, owner: int, level: int) -> dict[int, int]:
        return {
            key.bucket: bucket.count.value
            for key, bucket in self._buckets.items()
            if (key.kind, key.owner, key.level) == (kind, owner, level) and bucket.count.value is not None
        }

    async def members(self, keys: Sequence[BucketKey]) -> dict[BucketKey, PackedIds]:
        buckets = {key: self._bucket(key) for key in keys}
        return {
            key: PackedIds(pack_ids(bucket.members())) if bucket.page.value is None else bucket.page.value
            for key, bucket in buckets.items()
        }

    async def page(self, key: BucketKey, *, after: int, limit: int) -> list[int]:
        return [member for member in self._bucket(key).members() if member > after][:limit]

    def _bucket(self, key: BucketKey) -> _Bucket:
        """Return the bucket, or an empty one that is not stored: most buckets are never written."""
        return self._buckets.get(key) or _Bucket(self._clock_ms, self._removed_ttl_ms)
