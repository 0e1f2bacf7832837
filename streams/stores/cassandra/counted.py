"""Counted sets in Cassandra.

The rows of a bucket and their count are in one partition, and one batch writes both. Cassandra
turns a batch over several partitions into one mutation for each partition, and applies each
mutation completely or not at all. So the writer may put many small sets into one batch.
"""

import asyncio
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from cassandra.query import PreparedStatement
from more_itertools import sliced

from schemas.ids import PackedIds, pack_ids
from schemas.internal import SetKind
from streams.core.counted import BUCKETS, PAGE_LEVEL_MIN, Membership
from streams.core.sets import BucketKey, BucketState, BucketWrite, SetSummary, StoredPage
from streams.ports.edges import CountedSets
from streams.stores.cassandra.session import STATEMENTS_A_BATCH, CassandraSession, Row

OWNERS_A_CALL = 100
# Most sets are small, so one call reads up to PEEK_ROWS rows of each of many sets (a peek). If a
# set is large and its size is not known, those rows are read for nothing, and then the touched rows
# are read. Touched rows are those that the writer asks for. The writer remembers the rows of sets
# up to the same size (`KNOWN_ROWS_MAX`).
PEEK_ROWS = 32
PEEK_OWNERS_A_CALL = 50
# One call reads the touched rows of several large sets of level 0. It asks every set for the members
# that are wanted from any of the sets. That is cheaper than several calls: one more call costs more
# than asking for 100 rows that do not exist.
TOUCHED_OWNERS_A_CALL = 8
MEMBERS_A_CALL = 100
BUCKETS_A_CALL = 128
MARKER = 0  # The member id of the marker row; no user or photo has it.


class CassandraCountedSets(CountedSets):
    """Tables `followers`, `likers` and `ready_photos`, which are read and written alike."""

    def __init__(self, session: CassandraSession, removed_ttl_s: int) -> None:
        self._tables = {kind: _Table(session, kind, removed_ttl_s) for kind in SetKind}
        self._session = session
        self._pages_of = session.prepare(
            "SELECT DISTINCT bucket, page FROM followers WHERE owner_id = ? AND level = ? AND bucket IN ?"
        )

    async def summaries(self, kind: SetKind, owners: Sequence[int]) -> dict[int, SetSummary]:
        table = self._tables[kind]
        calls = [self._session.rows(table.summaries, list(ids)) for ids in sliced(owners, OWNERS_A_CALL)]
        summaries = dict.fromkeys(owners, SetSummary())
        for rows in await asyncio.gather(*calls):
            for owner, level, total, stamp in rows:
                summaries[owner] = SetSummary(level=level or 0, total=total or 0, stamp=stamp or 0)
        return summaries

    async def read(
        self, wanted: Mapping[BucketKey, Collection[int]], *, totals: Mapping[BucketKey, int]
    ) -> dict[BucketKey, BucketState]:
        # Most sets of level 0 are small, so one call reads many.
        first_buckets = [key for key in wanted if key.level == 0]
        parts = await asyncio.gather(
            *(
                self._read_first_buckets([key for key in first_buckets if key.kind is kind], wanted, totals)
                for kind in SetKind
            ),
            *(self._touched([key], members) for key, members in wanted.items() if key.level > 0),
        )
        return {key: state for part in parts for key, state in part.items()}

    async def _read_first_buckets(
        self,
        keys: Sequence[BucketKey],
        wanted: Mapping[BucketKey, Collection[int]],
        totals: Mapping[BucketKey, int],
    ) -> dict[BucketKey, BucketState]:
        """Read buckets of level 0, all of one kind."""
        large = [key for key in keys if totals.get(key, 0) >= PEEK_ROWS]
        peeked = await self._peek([key for key in keys if totals.get(key, 0) < PEEK_ROWS])
        # If the peek reached its limit, it may not have returned the whole set. The wanted rows may
        # be among the others, so they are read by member.
        large += [key for key, rows in peeked.items() if len(rows) == PEEK_ROWS]
        groups: list[list[BucketKey]] = [[]]
        named = 0
        for key in large:
            if len(groups[-1]) == TOUCHED_OWNERS_A_CALL or named + len(wanted[key]) > MEMBERS_A_CALL:
                groups.append([])
                named = 0
            groups[-1].append(key)
            named += len(wanted[key])
        touched = await asyncio.gather(
            *(
                self._touched(group, {member for key in group for member in wanted[key]})
                for group in groups
                if group
            )
        )
        states = {key: _state(rows, is_whole=len(rows) < PEEK_ROWS) for key, rows in peeked.items()}
        return states | {key: state for group in touched for key, state in group.items()}

    async def _peek(self, keys: Sequence[BucketKey]) -> dict[BucketKey, list[Row]]:
        by_owner = {key.owner: key for key in keys}
        peeked: dict[BucketKey, list[Row]] = {key: [] for key in keys}
        calls = [
            self._session.rows(self._tables[keys[0].kind].peek, list(owners))
            for owners in sliced(list(by_owner), PEEK_OWNERS_A_CALL)
        ]
        for rows in await asyncio.gather(*calls):
            for owner, *row in rows:
                peeked[by_owner[owner]].append(tuple(row))
        return peeked

    async def _touched(
        self, keys: Sequence[BucketKey], members: Collection[int]
    ) -> dict[BucketKey, BucketState]:
        """Read the rows of `members` and the count of each bucket. Keys differ only in the owner.

        Each partition is read only once, so its rows and its count are from the same moment. With
        more than `MEMBERS_A_CALL` members there is one key, and all its rows are read.
        """
        table, first = self._tables[keys[0].kind], keys[0]
        named = sorted({MARKER, *members})
        if len(named) > MEMBERS_A_CALL + 1:
            rows = await self._session.rows(table.rows, first.owner, first.level, first.bucket)
            return {first: _state(rows, is_whole=True)}
        owners = [key.owner for key in keys]
        rows = await self._session.rows(table.touched, owners, first.level, first.bucket, named)
        by_owner: dict[int, list[Row]] = {owner: [] for owner in owners}
        for owner, *row in rows:
            by_owner[owner].append(tuple(row))
        return {key: _state(by_owner[key.owner], is_whole=False) for key in keys}

    async def write(self, writes: Sequence[BucketWrite]) -> None:
        batches: list[list[tuple[PreparedStatement, tuple[object, ...]]]] = [[]]
        for write in writes:
            if len(batches[-1]) >= STATEMENTS_A_BATCH:
                batches.append([])
            batches[-1].extend(self._tables[write.key.kind].statements(write))
        await asyncio.gather(*(self._session.batch(batch) for batch in batches if batch))

    async def bucket(self, key: BucketKey) -> BucketState:
        rows = await self._session.rows(self._tables[key.kind].rows, key.owner, key.level, key.bucket)
        return _state(rows, is_whole=True)

    async def stored_page(self, key: BucketKey) -> StoredPage:
        statement = self._tables[key.kind].stored_page
        rows = await self._session.rows(statement, key.owner, key.level, key.bucket)
        if not rows:
            return StoredPage(0, None, 0)
        count_stamp, *page = rows[0]
        stored, page_stamp = page or (None, None)
        return StoredPage(count_stamp or 0, stored and PackedIds(stored), page_stamp or 0)

    async def bucket_counts(self, kind: SetKind, owner: int, level: int) -> dict[int, int]:
        table = self._tables[kind]
        calls = [
            self._session.rows(table.bucket_counts, owner, level, list(buckets))
            for buckets in sliced(range(BUCKETS[level]), BUCKETS_A_CALL)
        ]
        return {
            bucket: count
            for rows in await asyncio.gather(*calls)
            for bucket, count in rows
            if count is not None
        }

    async def members(self, keys: Sequence[BucketKey]) -> dict[BucketKey, PackedIds]:
        paged: dict[tuple[int, int], list[BucketKey]] = defaultdict(list)
        for key in keys:
            if key.kind is SetKind.FOLLOWERS and key.level >= PAGE_LEVEL_MIN:
                paged[key.owner, key.level].append(key)
        calls = [call for of_set in paged.values() for call in sliced(of_set, BUCKETS_A_CALL)]
        pages = {
            key: page
            for of_call in await asyncio.gather(*map(self._pages, calls))
            for key, page in of_call.items()
        }
        # Small sets have no pages. Buckets that were written before pages existed have none either.
        unpaged = [key for key in keys if key not in pages]
        return pages | dict(zip(unpaged, await asyncio.gather(*map(self._members, unpaged)), strict=True))

    async def _pages(self, keys: Sequence[BucketKey]) -> dict[BucketKey, PackedIds]:
        """Return the pages of buckets of one set and level; buckets without a page are left out."""
        kind, owner, level = keys[0].kind, keys[0].owner, keys[0].level
        rows = await self._session.rows(self._pages_of, owner, level, sorted({key.bucket for key in keys}))
        return {
            BucketKey(kind, owner, level, bucket): PackedIds(page)
            for bucket, page in rows
            if page is not None
        }

    async def _members(self, key: BucketKey) -> PackedIds:
        rows = await self._session.rows(self._tables[key.kind].members, key.owner, key.level, key.bucket)
        return PackedIds(pack_ids(member for member, removed in rows if removed is False))

    async def page(self, key: BucketKey, *, after: int, limit: int) -> list[int]:
        statement = self._tables[key.kind].page
        members: list[int] = []
        while len(members) < limit:
            wanted = limit - len(members)
            rows = await self._session.rows(statement, key.owner, key.level, key.bucket, after, wanted)
            members.extend(member for member, removed in rows if not removed)
            if len(rows) < wanted:
                break
            after = rows[-1][0]
        return members


def _state(rows: Sequence[Row], *, is_whole: bool) -> BucketState:
    """Make a bucket's state of its rows (member, removed, time, count, stamp), which one call has read."""
    return BucketState(
        rows={
            member: Membership(time_us=time_us, removed=removed)
            for member, removed, time_us, *_ in rows
            if member  # Skips the marker, and the empty row of a partition that has only its count.
        },
        count=(rows[0][3] or 0) if rows else 0,
        is_whole=is_whole,
        stamp=(rows[0][4] or 0) if rows else 0,
    )


class _Table:
    """The prepared statements of one table; column `live` is the bucket's count."""

    def __init__(self, session: CassandraSession, kind: SetKind, removed_ttl_s: int) -> None:
        table = kind.value
        bucket = "owner_id = ? AND level = ? AND bucket = ?"
        row = "member_id, removed, WRITETIME(removed), live, WRITETIME(live)"
        insert = f"INSERT INTO {table} (owner_id, level, bucket, member_id, removed)"
        self.summaries = session.prepare(
            f"SELECT DISTINCT owner_id, level_now, total, WRITETIME(total) FROM {table}"
            " WHERE owner_id IN ? AND level = 0 AND bucket = 0"
        )
        self.peek = session.prepare(
            f"SELECT owner_id, {row} FROM {table} WHERE owner_id IN ? AND level = 0 AND bucket = 0"
            f" PER PARTITION LIMIT {PEEK_ROWS}"
        )
        self.rows = session.prepare(f"SELECT {row} FROM {table} WHERE {bucket}")
        self.touched = session.prepare(
            f"SELECT owner_id, {row} FROM {table}"
            " WHERE owner_id IN ? AND level = ? AND bucket = ? AND member_id IN ?"
        )
        page = ", page, WRITETIME(page)" if kind is SetKind.FOLLOWERS else ""
        self.stored_page = session.prepare(
            f"SELECT DISTINCT WRITETIME(live){page} FROM {table} WHERE {bucket}"
        )
        self.members = session.prepare(f"SELECT member_id, removed FROM {table} WHERE {bucket}")
        self.page = session.prepare(
            f"SELECT member_id, removed FROM {table} WHERE {bucket} AND member_id > ? LIMIT ?"
        )
        self.bucket_counts = session.prepare(
            f"SELECT DISTINCT bucket, live FROM {table} WHERE owner_id = ? AND level = ? AND bucket IN ?"
        )
        self._join = session.prepare(f"{insert} VALUES (?, ?, ?, ?, false) USING TIMESTAMP ?")
        self._leave = session.prepare(
            f"{insert} VALUES (?, ?, ?, ?, true) USING TIMESTAMP ? AND TTL {removed_ttl_s}"
        )
        # Every bucket with a count has a marker row. Every read by member also reads that row, so
        # that it returns the count even if none of the members has a row.
        self._count = session.prepare(
            f"INSERT INTO {table} (owner_id, level, bucket, member_id, removed, live)"
            f" VALUES (?, ?, ?, {MARKER}, true, ?) USING TIMESTAMP ?"
        )
        if kind is SetKind.FOLLOWERS:
            self._count_and_page = session.prepare(
                f"INSERT INTO {table} (owner_id, level, bucket, member_id, removed, live, page)"
                f" VALUES (?, ?, ?, {MARKER}, true, ?, ?) USING TIMESTAMP ?"
            )
        self._count_and_summary = session.prepare(
            f"INSERT INTO {table} (owner_id, level, bucket, member_id, removed, live, level_now, total)"
            f" VALUES (?, 0, 0, {MARKER}, true, ?, ?, ?) USING TIMESTAMP ?"
        )
        self._summary = session.prepare(
            f"UPDATE {table} USING TIMESTAMP ? SET level_now = ?, total = ?"
            " WHERE owner_id = ? AND level = 0 AND bucket = 0"
        )

    def statements(self, write: BucketWrite) -> list[tuple[PreparedStatement, tuple[Any, ...]]]:
        key = (write.key.owner, write.key.level, write.key.bucket)
        statements: list[tuple[PreparedStatement, tuple[Any, ...]]] = [
            (self._leave if state.removed else self._join, (*key, member, state.time_us))
            for member, state in write.rows.items()
        ]
        summary = write.summary
        if write.count is not None and summary is not None:
            cells = (write.key.owner, write.count, summary.level, summary.total, write.stamp)
            statements.append((self._count_and_summary, cells))
        elif write.count is not None and write.page is not None:
            statements.append((self._count_and_page, (*key, write.count, write.page, write.stamp)))
        elif write.count is not None:
            statements.append((self._count, (*key, write.count, write.stamp)))
        elif summary is not None:
            statements.append((self._summary, (write.stamp, summary.level, summary.total, write.key.owner)))
        return statements
