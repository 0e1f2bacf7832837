"""Writes of counted sets: a summary, and the copy of a whole set to a higher level."""

from collections import defaultdict
from collections.abc import Iterable, Mapping

from schemas.ids import PackedIds, pack_ids
from schemas.internal import SetKind
from streams.core.counted import BUCKETS, Membership, bucket_of
from streams.core.sets import BucketKey, BucketWrite, SetSummary
from streams.edges.known_sets import SetId
from streams.ports.edges import CountedSets


def has_pages(kind: SetKind, level: int, *, page_level_min: int) -> bool:
    """Return whether each bucket of this set also has a page, with its members packed."""
    return kind is SetKind.FOLLOWERS and level >= page_level_min


def packed(members: Iterable[int]) -> PackedIds:
    return PackedIds(pack_ids(sorted(members)))


def summary_write(set_id: SetId, summary: SetSummary, stamp: int) -> BucketWrite:
    """Return a write that stores only the summary."""
    kind, owner = set_id
    return BucketWrite(key=BucketKey(kind, owner, 0, 0), rows={}, count=None, summary=summary, stamp=stamp)


async def copy_to_level(
    counted_sets: CountedSets,
    set_id: SetId,
    summary: SetSummary,
    level: int,
    *,
    stamp: int,
    page_level_min: int,
) -> SetSummary:
    """Copy all rows of a set to the buckets of `level`, then raise its level in the summary.

    Returns the new summary. The old rows are not removed, because records of `fanout` may still
    name their pages.

    Raises:
        StoreUnavailable: Some rows may be copied; copy the set again.
    """
    kind, owner = set_id
    rows: dict[int, dict[int, Membership]] = defaultdict(dict)
    for bucket in range(BUCKETS[summary.level]):
        stored = await counted_sets.bucket(BucketKey(kind, owner, summary.level, bucket))
        for member, state in stored.rows.items():
            rows[bucket_of(member, level)][member] = state
    paged = has_pages(kind, level, page_level_min=page_level_min)
    await counted_sets.write(
        [
            _bucket_write(BucketKey(kind, owner, level, bucket), bucket_rows, stamp, paged=paged)
            for bucket, bucket_rows in rows.items()
        ]
    )
    # The level is raised last, so that a reader of the new level finds every row there.
    raised = SetSummary(level=level, total=summary.total, stamp=stamp)
    await counted_sets.write([summary_write(set_id, raised, stamp)])
    return raised


def _bucket_write(key: BucketKey, rows: Mapping[int, Membership], stamp: int, *, paged: bool) -> BucketWrite:
    members = {member for member, state in rows.items() if not state.removed}
    return BucketWrite(
        key=key,
        rows=rows,
        count=len(members),
        summary=None,
        stamp=stamp,
        page=packed(members) if paged else None,
    )
