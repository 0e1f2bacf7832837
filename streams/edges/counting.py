"""Apply a batch of the topic `edges`: store and count follows, likes and ready photos.

Counts are exact. One consumer owns each partition of `edges`, and all changes of an owner are in
one partition, so this consumer is the only writer of a set. It reads the rows and counts that the
batch touches, and folds the changes into them. Then it writes the rows and the count of each bucket
in one mutation, which is applied completely or not at all. Counts are stamped with the offset where
the batch ends. If a second writer exists briefly during a rebalance, the count with the newer stamp
wins. If a batch is delivered again, its rows are already written, so the batch changes nothing.

If a set outgrows its level, it is copied to a higher level, stamped with the offset where the batch
begins, and then its level is raised. The old rows are not removed, because records of `fanout` may
still name their pages.

The audit finds counts and pages that differ from their rows. It asks for a recount in a record of the
topic, so this stays the only writer.
"""

import asyncio
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from more_itertools import chunked

from schemas.ids import PackedIds, UserId, unpack_ids
from schemas.internal import Backfill, EdgeRecord, SetKind
from streams.core.counted import PAGE_LEVEL_MIN, Change, Fold, Membership, bucket_of, fold, level_for
from streams.core.sets import BucketKey, BucketState, BucketWrite, SetSummary
from streams.edges.known_sets import Folds, KnownSets, SetId
from streams.edges.writes import copy_to_level, has_pages, packed, summary_write
from streams.errors import StoreUnavailable
from streams.ports.cache import Cache
from streams.ports.edges import CountedSets
from streams.ports.publishing import FanoutLanes, FanoutMessage
from streams.stores.cache.keys import count_key
from topics.catalogue import Lane

# Sets, and rows of small sets, cached for each partition: up to 370 bytes each, so 18 MB.
KNOWN_MAX = 50_000
# Rows of larger sets are not cached, because reading one row costs less than caching them all.
KNOWN_ROWS_MAX = 32
INVALIDATED_A_CALL_MAX = 1_000
# Each `edges_generation` (settings) has room for 2^48 offsets. At 100,000 records a second in one
# partition, that is 89 years.
OFFSET_BITS = 48
# Buckets; takes a few milliseconds.
FOLDED_AT_ONCE = 16
OFFSET_MAX = (1 << OFFSET_BITS) - 1


@dataclass(slots=True)
class SetWriter:
    """The writer of the sets of one partition of `edges`. Use a new one for each assignment."""

    counted_sets: CountedSets
    cache: Cache
    outbox: FanoutLanes
    bucket_members_max: int
    backfill_follows_max: int
    generation: int
    page_level_min: int = PAGE_LEVEL_MIN
    known_max: int = KNOWN_MAX
    known_rows_max: int = KNOWN_ROWS_MAX
    _known: KnownSets = field(init=False)

    def __post_init__(self) -> None:
        self._known = KnownSets(known_max=self.known_max, rows_max=self.known_rows_max)

    async def apply(self, records: Sequence[EdgeRecord], begin: int, end: int) -> None:
        """Apply the records of offsets [begin, end). The call may be repeated.

        Raises:
            StoreUnavailable: Some of the batch may be written. Apply the batch again, from any
                offset at or before `begin`.
        """
        try:
            await self._apply(records, self._stamp(begin), self._stamp(end))
        except BaseException:
            self._known.forget_all()
            raise

    async def recount(self, keys: Collection[BucketKey], end: int) -> None:
        """Count the rows of these buckets again; `end` is the offset after the record that asks for it.

        May be repeated. A bucket of a lower level than its set's is left out, because nobody counts by it.

        Raises:
            StoreUnavailable: Some of the counts may be written; call it again.
        """
        self._known.forget_all()  # What is stored is not what this writer wrote.
        stamp, by_set = self._stamp(end), defaultdict(list)
        for key in keys:
            by_set[key.kind, key.owner].append(key)
        for set_id, summary in (await self._summaries(by_set)).items():
            await self._recount(summary, [key for key in by_set[set_id] if key.level == summary.level], stamp)
        await self._invalidate_counts(by_set)

    async def _recount(self, summary: SetSummary, keys: Sequence[BucketKey], stamp: int) -> None:
        """Recount buckets of one set, all of its level."""
        for key in keys:
            state, stored = await self.counted_sets.bucket(key), await self.counted_sets.stored_page(key)
            members = state.members
            paged = has_pages(key.kind, key.level, page_level_min=self.page_level_min)
            after, total = self._after(stamp, max(state.stamp, stored.page_stamp)), None
            if key.level == 0:
                after = max(after, self._after(stamp, summary.stamp))
                total = SetSummary(level=0, total=len(members))
            page = packed(members) if paged else None
            await self.counted_sets.write([BucketWrite(key, {}, len(members), total, after, page)])
        if keys and summary.level > 0:
            set_id = keys[0].kind, keys[0].owner
            counts = await self.counted_sets.bucket_counts(*set_id, summary.level)
            recounted = SetSummary(level=summary.level, total=sum(counts.values()))
            after = self._after(stamp, summary.stamp)
            await self.counted_sets.write([summary_write(set_id, recounted, after)])

    def _stamp(self, offset: int) -> int:
        return self.generation << OFFSET_BITS | offset

    def _after(self, stamp: int, stored: int) -> int:
        """Return the stamp that replaces a value with the stamp `stored`.

        A stored stamp is later than all offsets if somebody changed the value by hand. Otherwise an older
        writer must lose, so `stamp` stays what it is.
        """
        return stored + 1 if stored > self._stamp(OFFSET_MAX) else stamp

    async def _apply(self, records: Sequence[EdgeRecord], begin: int, end: int) -> None:
        changes: dict[SetId, list[Change]] = defaultdict(list)
        for record in records:
            state = Membership(time_us=record.time_us, removed=record.removed)
            changes[record.kind, record.owner].append(Change(record.member, state))
        summaries = await self._summaries(changes)
        await self._grow(summaries, changes, begin)
        folds = await self._fold(summaries, changes)
        pages = await self._pages(folds)
        written = await self._write(summaries, folds, pages, end)
        self._known.remember(written, folds)
        # Of the whole batch, because it may be a repeat: what wrote its rows may have ended here.
        await self._invalidate_counts(changes)
        # Backfills are requested after the rows are written. So if a photo is too new for a
        # backfill, its fan-out reads the new rows.
        await self._request_backfills(folds)

    async def _summaries(self, set_ids: Iterable[SetId]) -> dict[SetId, SetSummary]:
        summaries: dict[SetId, SetSummary] = {}
        unknown: dict[SetKind, list[int]] = defaultdict(list)
        for kind, owner in set_ids:
            summary = self._known.summary((kind, owner))
            if summary is None:
                unknown[kind].append(owner)
            else:
                summaries[kind, owner] = summary
        for kind, owners in unknown.items():
            stored = await self.counted_sets.summaries(kind, owners)
            summaries.update({(kind, owner): summary for owner, summary in stored.items()})
        return summaries

    async def _grow(
        self, summaries: dict[SetId, SetSummary], changes: Mapping[SetId, Sequence[Change]], stamp: int
    ) -> None:
        """Copy each set that may outgrow its level in this batch, and update `summaries`."""
        for set_id, summary in summaries.items():
            # Every change counts as a new member, so a set may grow too early, which is harmless.
            level = level_for(summary.total + len(changes[set_id]), summary.level, self.bucket_members_max)
            if level <= summary.level:
                continue
            # The rows that are copied include all batches up to the total's stamp. If this batch is
            # delivered again, that stamp is newer than `stamp`. With the older stamp, the counts of
            # the copy would lose against stored counts.
            summaries[set_id] = await copy_to_level(
                self.counted_sets,
                set_id,
                summary,
                level,
                stamp=max(stamp, summary.stamp),
                page_level_min=self.page_level_min,
            )
            self._known.forget_bucket_counts(set_id, level)

    async def _fold(
        self, summaries: Mapping[SetId, SetSummary], changes: Mapping[SetId, Sequence[Change]]
    ) -> Folds:
        by_bucket: dict[BucketKey, list[Change]] = defaultdict(list)
        for (kind, owner), set_changes in changes.items():
            level = summaries[kind, owner].level
            for change in set_changes:
                by_bucket[BucketKey(kind, owner, level, bucket_of(change.member, level))].append(change)
        states = self._known.states(by_bucket)
        if unknown := by_bucket.keys() - states.keys():
            states |= await self.counted_sets.read(
                {key: [change.member for change in by_bucket[key]] for key in unknown},
                totals={key: summaries[key.kind, key.owner].total for key in unknown if key.level == 0},
            )
        folds: dict[BucketKey, tuple[BucketState, Fold]] = {}
        for number, (key, bucket_changes) in enumerate(by_bucket.items()):
            folds[key] = states[key], fold(states[key].rows, states[key].count, bucket_changes)
            if number % FOLDED_AT_ONCE == FOLDED_AT_ONCE - 1:
                await asyncio.sleep(0)  # Posts are handled by the same event loop.
        return folds

    async def _pages(self, folds: Folds) -> dict[BucketKey, PackedIds]:
        """Return the new page of each bucket that has one.

        A page is a set, so a member that joins or leaves twice changes nothing. A second writer may
        change the page after the rows were read. That is harmless, because its change is also in
        this batch or in a later one.
        """
        paged = [key for key in folds if has_pages(key.kind, key.level, page_level_min=self.page_level_min)]
        stored = await self.counted_sets.members(paged)
        pages = {}
        for number, key in enumerate(paged):
            if number % FOLDED_AT_ONCE == FOLDED_AT_ONCE - 1:
                await asyncio.sleep(0)
            result = folds[key][1]
            pages[key] = packed((set(unpack_ids(stored[key])) | result.joined) - result.left)
        return pages

    async def _write(
        self,
        summaries: Mapping[SetId, SetSummary],
        folds: Folds,
        pages: Mapping[BucketKey, PackedIds],
        stamp: int,
    ) -> dict[SetId, SetSummary]:
        """Write all buckets, then the totals of large sets; returns the new summaries."""
        written: dict[SetId, SetSummary] = {}
        touched: dict[SetId, dict[int, int]] = defaultdict(dict)
        writes: list[BucketWrite] = []
        for key, (state, result) in folds.items():
            set_id, after = (key.kind, key.owner), self._after(stamp, state.stamp)
            summary: SetSummary | None = None
            if key.level == 0:
                after = max(after, self._after(stamp, summaries[set_id].stamp))
                summary = written[set_id] = SetSummary(level=0, total=result.count, stamp=after)
            else:
                touched[set_id][key.bucket] = result.count
            writes.append(BucketWrite(key, result.rows, result.count, summary, after, pages.get(key)))
        await self.counted_sets.write(writes)
        totals = []
        for set_id, touched_counts in touched.items():
            level = summaries[set_id].level
            bucket_counts = await self._bucket_counts(set_id, level)
            bucket_counts.update(touched_counts)
            after = self._after(stamp, summaries[set_id].stamp)
            summary = SetSummary(level=level, total=sum(bucket_counts.values()), stamp=after)
            written[set_id] = summary
            totals.append(summary_write(set_id, summary, after))
        await self.counted_sets.write(totals)
        return written

    async def _bucket_counts(self, set_id: SetId, level: int) -> dict[int, int]:
        counts = self._known.bucket_counts(set_id, level)
        if counts is None:
            counts = await self.counted_sets.bucket_counts(*set_id, level)
            self._known.remember_bucket_counts(set_id, level, counts)
        return counts

    async def _request_backfills(self, folds: Folds) -> None:
        joined = [
            (UserId(member), UserId(key.owner))
            for key, (_, result) in folds.items()
            if key.kind is SetKind.FOLLOWERS
            for member in result.joined
        ]
        # No deliveries: most followers do not read, and deferred posts wait while the lane has too many.
        backfills = [
            FanoutMessage(Backfill(tuple(follows)), 0)
            for follows in chunked(joined, self.backfill_follows_max)
        ]
        if backfills:
            # Readers merge whom they have just followed, so no backfill is urgent.
            await self.outbox.fanout(backfills, Lane.BULK)

    async def _invalidate_counts(self, set_ids: Iterable[SetId]) -> None:
        keys = sorted({count_key(kind, owner) for kind, owner in set_ids})
        try:
            for some_keys in chunked(keys, INVALIDATED_A_CALL_MAX):
                await self.cache.invalidate(some_keys)
        except StoreUnavailable:
            pass  # Cached counts expire within seconds, so counting need not wait for Redis.
