"""What the writer of a partition's sets remembers of them, so that it need not read them again.

Nobody else writes these sets, with one exception: a second writer can exist briefly during a
rebalance. Its rows come from records that this writer also reads, and this writer's next, newer stamp
replaces its counts. After a failed write nothing is known any more, and everything is forgotten.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from cachetools import LRUCache

from schemas.internal import SetKind
from streams.core.counted import Fold, Membership
from streams.core.sets import BucketKey, BucketState, SetSummary

# A set of the highest level has 65,536 counts of 8 bytes, so 1,000 sets are 0.5 GB at worst. Only
# sets above level 0 are cached.
BUCKET_COUNTS_CACHED_MAX = 1_000

SetId = tuple[SetKind, int]
Folds = Mapping[BucketKey, tuple[BucketState, Fold]]


@dataclass(frozen=True, slots=True)
class _KnownSet:
    """A set as it was last written here, with all rows if it is small, removed ones included."""

    summary: SetSummary
    rows: Mapping[int, Membership] | None

    @property
    def weight(self) -> int:
        """The set and its rows, which is what `known_max` limits."""
        return 1 + len(self.rows or ())


class KnownSets:
    """Summaries, the rows of small sets, and the bucket counts of large sets, as last written.

    At most `known_max` sets and rows together are remembered, and the rows of sets of at most
    `rows_max` rows. The least recently used sets are forgotten first.
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
        # By level, too: another writer's count at the level before may have won.
        self._bucket_counts: LRUCache[tuple[SetId, int], dict[int, int]] = LRUCache(BUCKET_COUNTS_CACHED_MAX)

    def summary(self, set_id: SetId) -> SetSummary | None:
        known = self._sets.get(set_id)
        return None if known is None else known.summary

    def states(self, keys: Iterable[BucketKey]) -> dict[BucketKey, BucketState]:
        """Return the buckets of small sets whose rows are known."""
        states: dict[BucketKey, BucketState] = {}
        for key in keys:
            known = self._sets.get((key.kind, key.owner)) if key.level == 0 else None
            if known is not None and known.rows is not None:
                states[key] = BucketState(known.rows, known.summary.total, is_whole=True)
        return states

    def remember(self, written: Mapping[SetId, SetSummary], folds: Folds) -> None:
        """Remember sets that have just been written, with their summaries and rows as they are now."""
        for (kind, owner), summary in written.items():
            rows = self._rows(folds[BucketKey(kind, owner, 0, 0)]) if summary.level == 0 else None
            known = _KnownSet(summary, rows)
            # The cache refuses a value that is larger than all of it.
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
        """Return the counts by bucket; the caller updates them in place."""
        return self._bucket_counts.get((set_id, level))

    def remember_bucket_counts(self, set_id: SetId, level: int, counts: dict[int, int]) -> None:
        self._bucket_counts[set_id, level] = counts

    def forget_bucket_counts(self, set_id: SetId, level: int) -> None:
        self._bucket_counts.pop((set_id, level), None)
