"""Active readers in Cassandra."""

import asyncio
from collections.abc import Collection

from schemas.ids import UserId
from streams.ports.timelines import ActiveReaders
from streams.stores.cassandra.session import CassandraSession

# 1,000,000 readers in an hour are 62,500 rows a partition, 2 MB.
SHARDS = 16


class CassandraActiveReaders(ActiveReaders):
    """Table `active_readers`; its rows expire after `life_s` seconds."""

    def __init__(self, session: CassandraSession, *, life_s: int) -> None:
        self._session = session
        self._insert = session.prepare(
            f"INSERT INTO active_readers (hour, shard, reader_id) VALUES (?, ?, ?) USING TTL {life_s}"
        )
        self._select = session.prepare(
            "SELECT reader_id FROM active_readers WHERE hour = ? AND shard = ? AND reader_id > ? LIMIT ?"
        )

    async def record(self, hour: int, readers: Collection[UserId]) -> None:
        await self._session.batches([(self._insert, (hour, reader % SHARDS, reader)) for reader in readers])

    async def page(self, hour: int, after: UserId | None, count: int) -> list[UserId]:
        first = 0 if after is None else after % SHARDS
        readers = await self._shard(hour, first, after or 0, count)
        if len(readers) < count:
            # Most hours have few readers, so all other shards are read at once.
            calls = [self._shard(hour, shard, 0, count - len(readers)) for shard in range(first + 1, SHARDS)]
            for some in await asyncio.gather(*calls):
                readers += some
        return readers[:count]

    async def _shard(self, hour: int, shard: int, above: int, count: int) -> list[UserId]:
        return [UserId(row[0]) for row in await self._session.rows(self._select, hour, shard, above, count)]
