"""The cache of a set writer: sets as last written, so that the writer need not read them again.

No other process writes these sets, except that a second writer can exist briefly during a
rebalance. The second writer's rows come from records that this writer also reads, and this writer's
next, newer stamp replaces the second writer's counts. After a failed write, it is not known what is
stored, so the whole cache is cleared.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from cachetools import LRUCache

from schemas.internal import SetKind
from streams.core.counted import Fold, Membership
from streams.core.sets import BucketKey, BucketState, SetSummary

# A set of the highest level has 65,536 counts of 8 bytes, so 1,000 sets are 0.5 GB at worst. Only
# sets above level 0 have bucket counts here.
BUCKET_COUNTS_CACHED_MAX = 1_000

SetId = tuple[SetKind, int]
Folds = Mapping[BucketKey, tuple[BucketState, Fold]]


@dataclass(frozen=True, slots=True)
class _KnownSet:
    """A set as last written. `rows` has all rows, also removed ones; None if the set is large."""

    summary: SetSummary
    rows: Mapping[int, Membership] | None

    @property
    def weight(self) -> int:
        """1 for the set, plus its number of rows; `known_max` limits the sum of all weights."""
        return 1 + len(self.rows or ())


class KnownSets:
    """Summaries, the rows of small sets, and the bucket counts of large sets, as last written.

    At most `known_max` sets and rows together are cached. Rows are cached only for sets that have
    at most `rows_max` rows. The least recently used sets are evicted first.
    """

    def __init__(self, *, known_max: int, rows_max: int) -> None:
        self._known_max = known_max
        self._rows_max = rows_max
        self.forget_all()

    def forget_all(self) -> None:
        """Forget everything, in constant time."""
        self._sets: LRUCache[SetId, _KnownSet] = LRUCache(
            self._known_max, getsizeof=lambda known: known.weight
        )
        # The level is part of the key: if another writer's summary of an earlier level won, the set
        # is back at that level, and counts of the later level would be wrong.
        self._bucket_counts: LRUCache[tuple[SetId, int], dict[int, int]] = LRUCache(BUCKET_COUNTS_CACHED_MAX)

    def summary(self, set_id: SetId) -> SetSummary | None:
        known = self._sets.get(set_id)
        return None if known is None else known.summary

    def states(self, keys: Iterable[BucketKey]) -> dict[BucketKey, BucketState]:
        """Return the states of those buckets whose rows are cached; large sets have none."""
        states: dict[BucketKey, BucketState] = {}
        for key in keys:
            known = self._sets.get((key.kind, key.owner)) if key.level == 0 else None
            if known is not None and known.rows is not None:
                states[key] = BucketState(
                    known.rows, known.summary.total, is_whole=True, stamp=known.summary.stamp
                )
        return states

    def remember(self, written: Mapping[SetId, SetSummary], folds: Folds) -> None:
        """Cache sets that have just been written, with their new summaries and rows."""
        for (kind, owner), summary in written.items():
            rows = self._rows(folds[BucketKey(kind, owner, 0, 0)]) if summary.level == 0 else None
            known = _KnownSet(summary, rows)
            # LRUCache raises ValueError for a value that is larger than the whole cache.
            if known.weight <= self._known_max:
                self._sets[kind, owner] = known
            else:
                self._sets.pop((kind, owner), None)

    def _rows(self, folded: tuple[BucketState, Fold]) -> Mapping[int, Membership] | None:
        state, result = folded
        if state.is_whole and len(state.rows) + len(result.rows) <= self._rows_max:
            return {**state.rows, **result.rows}
        return None

    def bucket_counts(self, set_id: SetId, level: int) -> dict[int, int] | None:
        """Return the cached counts by bucket, or None; the caller updates the dict in place."""
        return self._bucket_counts.get((set_id, level))

    def remember_bucket_counts(self, set_id: SetId, level: int, counts: dict[int, int]) -> None:
        self._bucket_counts[set_id, level] = counts

    def forget_bucket_counts(self, set_id: SetId, level: int) -> None:
        self._bucket_counts.pop((set_id, level), None)
