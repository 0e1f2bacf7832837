"""A batch of the topic `edges`: write the other side of follows, likes and ready photos, with exact counts.

One consumer owns each partition of `edges`, and an owner's changes are all in one
partition, so this is the only writer of a set. It reads the rows and counts that the
batch touches, folds, and writes rows and count of each bucket in one mutation that is
applied whole. Counts are stamped with where the batch ends, so a second owner for a
moment loses; what comes again finds its rows written and changes nothing.

A set that outgrows its level is copied to the next, stamped with where the batch begins,
and then the level is raised. The old rows stay: pages may still name them.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from schemas.ids import PackedIds, UserId, pack_ids, unpack_ids
from schemas.internal import Backfill, EdgeRecord, SetKind
from streams.core.counted import BUCKETS, PAGE_LEVEL_MIN, Change, Fold, Membership, bucket_of, fold, level_for
from streams.core.recent import Recent
from streams.core.sets import BucketKey, BucketState, BucketWrite, SetSummary
from streams.core.slices import slices
from streams.errors import StoreUnavailable
from streams.ports.groups import Stores
from streams.ports.publishing import Outbox
from streams.stores.cache.keys import count_key
from topics.catalogue import Lane

# A set of the highest level has 65,536 counts of 8 bytes, so 1,000 sets are 0.5 GB at the
# very worst; only sets above level 0 are kept at all.
LIVES_CACHED_MAX = 1_000
# Sets and rows of small sets, for each partition: up to 370 bytes each, so 18 MB.
KNOWN_MAX = 50_000
# To read one row of a larger set costs less than to keep all.
KNOWN_ROWS_MAX = 32

SetId = tuple[SetKind, int]


@dataclass(frozen=True, slots=True)
class _Known:
    """A set as it was last written here, with all rows if it is small, removed ones included."""

    summary: SetSummary
    rows: Mapping[int, Membership] | None

    @property
    def weight(self) -> int:
        return 1 + len(self.rows or ())


@dataclass(slots=True)
class SetWriter:
    """The writer of the sets of one partition of `edges`. Use a new one for each assignment."""

    stores: Stores
    outbox: Outbox
    bucket_members_max: int
    backfill_follows_max: int
    generation: int
    page_level_min: int = PAGE_LEVEL_MIN
    known_max: int = KNOWN_MAX
    known_rows_max: int = KNOWN_ROWS_MAX
    # Sets, and counts of all buckets of large sets, as they were last written here: nobody else
    # writes them. Whoever did for a moment wrote rows of records that come here, too, and counts
    # that the next stamp overrules. Forgotten when a write fails, because then it is not known.
    _known: Recent[SetId, _Known] = field(init=False)
    _lives: Recent[tuple[SetId, int], dict[int, int]] = field(init=False)

    def __post_init__(self) -> None:
        self._known = Recent(self.known_max, lambda known: known.weight)
        self._lives = Recent(LIVES_CACHED_MAX)

    async def apply(self, records: Sequence[EdgeRecord], begin: int, end: int) -> None:
        """Apply the records of offsets [begin, end); repeatable.

        Raises:
            StoreUnavailable: Some of the batch may be written; apply it again, from any
                offset at or before `begin`.
        """
        try:
            await self._apply(records, self._stamp(begin), self._stamp(end))
        except BaseException:
            self._lives.clear()
            self._known.clear()
            raise

    def _stamp(self, offset: int) -> int:
        # 2^48 offsets a generation are 89,000 years at 100 million records a second.
        return self.generation << 48 | offset

    async def _apply(self, records: Sequence[EdgeRecord], begin: int, end: int) -> None:
        changes: dict[SetId, list[Change]] = defaultdict(list)
        for record in records:
            now = Membership(time_us=record.time_us, removed=record.removed)
            changes[record.kind, record.owner].append(Change(record.member, now))
        summaries = await self._read_heads(changes)
        await self._grow(summaries, changes, begin)
        folds = await self._fold(summaries, changes)
        pages = await self._pages(folds)
        self._remember(await self._write(summaries, folds, pages, end), folds)
        await self._after(folds)

    async def _read_heads(self, sets: Iterable[SetId]) -> dict[SetId, SetSummary]:
        summaries: dict[SetId, SetSummary] = {}
        unknown: dict[SetKind, list[int]] = defaultdict(list)
        for kind, owner in sets:
            known = self._known.get((kind, owner))
            if known is None:
                unknown[kind].append(owner)
            else:
                summaries[kind, owner] = known.summary
        for kind, some in unknown.items():
            found = await self.stores.counted_sets.summaries(kind, some)
            summaries.update({(kind, owner): summary for owner, summary in found.items()})
        return summaries

    def _remember(
        self, written: Mapping[SetId, SetSummary], folds: Mapping[BucketKey, tuple[BucketState, Fold]]
    ) -> None:
        for (kind, owner), summary in written.items():
            rows = None
            if summary.level == 0:
                state, result = folds[BucketKey(kind, owner, 0, 0)]
                if state.is_whole and len(state.rows) + len(result.rows) <= self.known_rows_max:
                    rows = {**state.rows, **result.rows}
            self._known.put((kind, owner), _Known(summary, rows))

    async def _grow(
        self, summaries: dict[SetId, SetSummary], changes: dict[SetId, list[Change]], stamp: int
    ) -> None:
        for key, summary in summaries.items():
            # As if every change were a new member: growing a little early is harmless.
            level = level_for(summary.total + len(changes[key]), summary.level, self.bucket_members_max)
            # One level at a time, or at once: a copy reads the level that holds the rows.
            if level > summary.level:
                # What is copied holds all up to the total's stamp, also where this batch comes
                # again: with an older one its counts would lose against those that are there.
                summaries[key] = await self._copy(key, summary, level, max(stamp, summary.stamp))

    async def _copy(self, key: SetId, summary: SetSummary, level: int, stamp: int) -> SetSummary:
        kind, owner = key
        rows: dict[int, dict[int, Membership]] = defaultdict(dict)
        for bucket in range(BUCKETS[summary.level]):
            stored = await self.stores.counted_sets.bucket(BucketKey(kind, owner, summary.level, bucket))
            for member, state in stored.items():
                rows[bucket_of(member, level)][member] = state
        writes = []
        for bucket, some in rows.items():
            live = _live(some)
            writes.append(
                BucketWrite(
                    key=BucketKey(kind, owner, level, bucket),
                    rows=some,
                    count=len(live),
                    summary=None,
                    stamp=stamp,
                    page=_packed(live) if self._has_pages(kind, level) else None,
                )
            )
        await self.stores.counted_sets.write(writes)
        # Only now: whoever reads the new level finds every row there.
        raised = SetSummary(level=level, total=summary.total)
        await self.stores.counted_sets.write([_summary_write(key, raised, stamp)])
        self._lives.forget((key, level))
        return raised

    async def _fold(
        self, summaries: dict[SetId, SetSummary], changes: dict[SetId, list[Change]]
    ) -> dict[BucketKey, tuple[BucketState, Fold]]:
        wanted: dict[BucketKey, list[Change]] = defaultdict(list)
        for (kind, owner), some in changes.items():
            level = summaries[kind, owner].level
            for change in some:
                wanted[BucketKey(kind, owner, level, bucket_of(change.member, level))].append(change)
        states = self._known_states(wanted)
        if unknown := wanted.keys() - states.keys():
            states |= await self.stores.counted_sets.read(
                {key: [change.member for change in wanted[key]] for key in unknown},
                totals={key: summaries[key.kind, key.owner].total for key in unknown if key.level == 0},
            )
        return {
            key: (states[key], fold(states[key].rows, states[key].count, some))
            for key, some in wanted.items()
        }

    def _known_states(self, keys: Iterable[BucketKey]) -> dict[BucketKey, BucketState]:
        states: dict[BucketKey, BucketState] = {}
        for key in keys:
            known = self._known.get((key.kind, key.owner)) if key.level == 0 else None
            if known is not None and known.rows is not None:
                states[key] = BucketState(known.rows, known.summary.total, is_whole=True)
        return states

    async def _pages(self, folds: Mapping[BucketKey, tuple[BucketState, Fold]]) -> dict[BucketKey, PackedIds]:
        """The new page of each bucket that has one: a set, so that joining or leaving again changes nothing.

        It may be read at another moment than the rows: what another owner added or took away
        meanwhile this batch names too, or a later one will.
        """
        paged = [key for key in folds if self._has_pages(key.kind, key.level)]
        stored = await self.stores.counted_sets.members(paged)
        pages = {}
        for key in paged:
            result = folds[key][1]
            pages[key] = _packed((set(unpack_ids(stored[key])) | result.joined) - result.left)
        return pages

    def _has_pages(self, kind: SetKind, level: int) -> bool:
        return kind is SetKind.FOLLOWERS and level >= self.page_level_min

    async def _write(
        self,
        summaries: Mapping[SetId, SetSummary],
        folds: Mapping[BucketKey, tuple[BucketState, Fold]],
        pages: Mapping[BucketKey, PackedIds],
        stamp: int,
    ) -> dict[SetId, SetSummary]:
        """Answers the summaries as they are now."""
        written: dict[SetId, SetSummary] = {}
        touched: dict[SetId, dict[int, int]] = defaultdict(dict)
        writes: list[BucketWrite] = []
        for key, (_, result) in folds.items():
            summary: SetSummary | None = None
            if key.level == 0:
                summary = written[key.kind, key.owner] = SetSummary(level=0, total=result.count, stamp=stamp)
            else:
                touched[key.kind, key.owner][key.bucket] = result.count
            writes.append(BucketWrite(key, result.rows, result.count, summary, stamp, pages.get(key)))
        await self.stores.counted_sets.write(writes)
        totals = []
        for (kind, owner), bucket_counts in touched.items():
            level = summaries[kind, owner].level
            known = await self._known_lives((kind, owner), level)
            known.update(bucket_counts)
            summary = written[kind, owner] = SetSummary(level=level, total=sum(known.values()), stamp=stamp)
            totals.append(_summary_write((kind, owner), summary, stamp))
        await self.stores.counted_sets.write(totals)
        return written

    async def _known_lives(self, key: SetId, level: int) -> dict[int, int]:
        # By level, too: another owner's count at the level before may have won.
        known = self._lives.get((key, level))
        if known is None:
            known = await self.stores.counted_sets.bucket_counts(*key, level)
            self._lives.put((key, level), known)
        return known

    async def _after(self, folds: dict[BucketKey, tuple[BucketState, Fold]]) -> None:
        """Ask for backfills, after the rows are written; forget copies of the counts."""
        joined = [
            (UserId(member), UserId(key.owner))
            for key, (_, result) in folds.items()
            if key.kind is SetKind.FOLLOWERS
            for member in result.joined
        ]
        backfills = [Backfill(tuple(some)) for some in slices(joined, self.backfill_follows_max)]
        if backfills:
            await self.outbox.fanout(backfills, Lane.NORMAL)
        keys = {count_key(key.kind, key.owner) for key, (state, result) in folds.items() if result.rows}
        try:
            for some in slices(sorted(keys), 1_000):
                await self.stores.cache.invalidate(some)
        except StoreUnavailable:
            pass  # Copies of counts live for seconds; counting does not wait for Redis.


def _live(rows: Mapping[int, Membership]) -> set[int]:
    return {member for member, state in rows.items() if not state.removed}


def _packed(members: Iterable[int]) -> PackedIds:
    return PackedIds(pack_ids(sorted(members)))


def _summary_write(key: SetId, summary: SetSummary, stamp: int) -> BucketWrite:
    kind, owner = key
    return BucketWrite(key=BucketKey(kind, owner, 0, 0), rows={}, count=None, summary=summary, stamp=stamp)
