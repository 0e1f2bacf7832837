"""Counted sets in Cassandra: rows and their count share a partition, and one batch writes both.

A batch over several partitions is several mutations, each applied whole, so the writer
may put many small sets into one request.
"""

import asyncio
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from cassandra.query import PreparedStatement

from schemas.ids import PackedIds, pack_ids
from schemas.internal import SetKind
from streams.core.counted import BUCKETS, PAGE_LEVEL_MIN, Membership
from streams.core.sets import BucketKey, BucketState, BucketWrite, SetSummary
from streams.core.slices import slices
from streams.stores.cassandra.session import CassandraSession, Row

OWNERS_A_CALL = 100
# Most sets are small and are read whole, many in one call; of one that is not known to be larger
# this many rows are read in vain, and then those touched. Its writer remembers about as many.
PEEK_ROWS = 32
PEEK_OWNERS_A_CALL = 50
# Of a few larger sets of level 0 the rows touched are read in one call, each member named for
# each set: a call costs more than 100 rows that are not there.
TOUCHED_OWNERS_A_CALL = 8
MEMBERS_A_CALL = 100
BUCKETS_A_CALL = 128
STATEMENTS_A_BATCH = 300
MARKER = 0  # No member's id.


class CassandraCountedSets:
    """Tables `followers`, `likers` and `ready_photos`, which have one shape."""

    def __init__(self, session: CassandraSession, removed_ttl_s: int) -> None:
        self._tables = {kind: _Table(session, kind, removed_ttl_s) for kind in SetKind}
        self._session = session
        self._pages_of = session.prepare(
            "SELECT DISTINCT bucket, page FROM followers WHERE owner_id = ? AND level = ? AND bucket IN ?"
        )

    async def summaries(self, kind: SetKind, owners: Sequence[int]) -> dict[int, SetSummary]:
        table = self._tables[kind]
        calls = [self._session.rows(table.summaries, list(some)) for some in slices(owners, OWNERS_A_CALL)]
        heads = dict.fromkeys(owners, SetSummary())
        for rows in await asyncio.gather(*calls):
            for owner, level, total, stamp in rows:
                heads[owner] = SetSummary(level=level or 0, total=total or 0, stamp=stamp or 0)
        return heads

    async def read(
        self, wanted: Mapping[BucketKey, Collection[int]], *, totals: Mapping[BucketKey, int]
    ) -> dict[BucketKey, BucketState]:
        # Sets of level 0 are mostly small, and many are read in one call.
        first = [key for key in wanted if key.level == 0]
        parts = await asyncio.gather(
            *(
                self._read_first([key for key in first if key.kind is kind], wanted, totals)
                for kind in SetKind
            ),
            *(self._touched([key], members) for key, members in wanted.items() if key.level > 0),
        )
        return {key: state for part in parts for key, state in part.items()}

    async def _read_first(
        self,
        keys: Sequence[BucketKey],
        wanted: Mapping[BucketKey, Collection[int]],
        totals: Mapping[BucketKey, int],
    ) -> dict[BucketKey, BucketState]:
        """Buckets of level 0, all of one kind."""
        large = [key for key in keys if totals.get(key, 0) >= PEEK_ROWS]
        peeked = await self._peek([key for key in keys if totals.get(key, 0) < PEEK_ROWS])
        # Where the peek did not show the whole set, the rows wanted may be among the others.
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
            self._session.rows(self._tables[keys[0].kind].peek, list(some))
            for some in slices(list(by_owner), PEEK_OWNERS_A_CALL)
        ]
        for rows in await asyncio.gather(*calls):
            for owner, *row in rows:
                peeked[by_owner[owner]].append(tuple(row))
        return peeked

    async def _touched(
        self, keys: Sequence[BucketKey], members: Collection[int]
    ) -> dict[BucketKey, BucketState]:
        """Rows and count of one moment: each partition is read once, never twice.

        The keys differ in their owner alone.
        """
        table, first = self._tables[keys[0].kind], keys[0]
        named = sorted({MARKER, *members})
        if len(named) > MEMBERS_A_CALL + 1:
            rows = await self._session.rows(table.rows, first.owner, first.level, first.bucket)
            return {first: _state(rows, is_whole=True)}
        owners = [key.owner for key in keys]
        rows = await self._session.rows(table.touched, owners, first.level, first.bucket, named)
        found: dict[int, list[Row]] = {owner: [] for owner in owners}
        for owner, *row in rows:
            found[owner].append(tuple(row))
        return {key: _state(found[key.owner], is_whole=False) for key in keys}

    async def write(self, writes: Sequence[BucketWrite]) -> None:
        batches: list[list[tuple[PreparedStatement, tuple[object, ...]]]] = [[]]
        for write in writes:
            if len(batches[-1]) >= STATEMENTS_A_BATCH:
                batches.append([])
            batches[-1].extend(self._tables[write.key.kind].statements(write))
        await asyncio.gather(*(self._session.batch(batch) for batch in batches if batch))

    async def bucket(self, key: BucketKey) -> dict[int, Membership]:
        rows = await self._session.rows(self._tables[key.kind].rows, key.owner, key.level, key.bucket)
        return dict(_state(rows, is_whole=True).rows)

    async def bucket_counts(self, kind: SetKind, owner: int, level: int) -> dict[int, int]:
        table = self._tables[kind]
        calls = [
            self._session.rows(table.bucket_counts, owner, level, list(some))
            for some in slices(range(BUCKETS[level]), BUCKETS_A_CALL)
        ]
        return {
            bucket: live for rows in await asyncio.gather(*calls) for bucket, live in rows if live is not None
        }

    async def members(self, keys: Sequence[BucketKey]) -> dict[BucketKey, PackedIds]:
        paged: dict[tuple[int, int], list[BucketKey]] = defaultdict(list)
        for key in keys:
            if key.kind is SetKind.FOLLOWERS and key.level >= PAGE_LEVEL_MIN:
                paged[key.owner, key.level].append(key)
        calls = [some for each in paged.values() for some in slices(each, BUCKETS_A_CALL)]
        found = {
            key: page for some in await asyncio.gather(*map(self._pages, calls)) for key, page in some.items()
        }
        # Smaller sets, and pages from before there were any.
        unpaged = [key for key in keys if key not in found]
        return found | dict(zip(unpaged, await asyncio.gather(*map(self._members, unpaged)), strict=True))

    async def _pages(self, keys: Sequence[BucketKey]) -> dict[BucketKey, PackedIds]:
        """Those of some buckets of one set and level that have a page."""
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
        found: list[int] = []
        while len(found) < limit:
            wanted = limit - len(found)
            rows = await self._session.rows(statement, key.owner, key.level, key.bucket, after, wanted)
            found.extend(member for member, removed in rows if not removed)
            if len(rows) < wanted:
                break
            after = rows[-1][0]
        return found


def _state(rows: Sequence[Row], *, is_whole: bool) -> BucketState:
    """Rows of one bucket (member, removed, time, count), all of one moment."""
    return BucketState(
        rows={
            member: Membership(time_us=time_us, removed=removed)
            for member, removed, time_us, _ in rows
            if member  # Neither the marker nor a partition that has only its count.
        },
        live=(rows[0][3] or 0) if rows else 0,
        is_whole=is_whole,
    )


class _Table:
    """The statements of one table."""

    def __init__(self, session: CassandraSession, kind: SetKind, removed_ttl_s: int) -> None:
        table = kind.value
        bucket = "owner_id = ? AND level = ? AND bucket = ?"
        row = "member_id, removed, WRITETIME(removed), live"
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
        # The marker is a row that every bucket with a count has, so that a read of rows which
        # are not there yet still answers with the count of the same moment.
        self._live = session.prepare(
            f"INSERT INTO {table} (owner_id, level, bucket, member_id, removed, live)"
            f" VALUES (?, ?, ?, {MARKER}, true, ?) USING TIMESTAMP ?"
        )
        if kind is SetKind.FOLLOWERS:
            self._live_and_page = session.prepare(
                f"INSERT INTO {table} (owner_id, level, bucket, member_id, removed, live, page)"
                f" VALUES (?, ?, ?, {MARKER}, true, ?, ?) USING TIMESTAMP ?"
            )
        self._live_and_head = session.prepare(
            f"INSERT INTO {table} (owner_id, level, bucket, member_id, removed, live, level_now, total)"
            f" VALUES (?, 0, 0, {MARKER}, true, ?, ?, ?) USING TIMESTAMP ?"
        )
        self._head = session.prepare(
            f"UPDATE {table} USING TIMESTAMP ? SET level_now = ?, total = ?"
            " WHERE owner_id = ? AND level = 0 AND bucket = 0"
        )

    def statements(self, write: BucketWrite) -> list[tuple[PreparedStatement, tuple[Any, ...]]]:
        key = (write.key.owner, write.key.level, write.key.bucket)
        found: list[tuple[PreparedStatement, tuple[Any, ...]]] = [
            (self._leave if state.removed else self._join, (*key, member, state.time_us))
            for member, state in write.rows.items()
        ]
        head = write.head
        if write.live is not None and head is not None:
            values = (write.key.owner, write.live, head.level, head.total, write.stamp)
            found.append((self._live_and_head, values))
        elif write.live is not None and write.page is not None:
            found.append((self._live_and_page, (*key, write.live, write.page, write.stamp)))
        elif write.live is not None:
            found.append((self._live, (*key, write.live, write.stamp)))
        elif head is not None:
            found.append((self._head, (write.stamp, head.level, head.total, write.key.owner)))
        return found
