"""Active readers in Cassandra."""

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
        readers: list[UserId] = []
        for shard in range(0 if after is None else after % SHARDS, SHARDS):
            above = after if after is not None and after % SHARDS == shard else 0
            rows = await self._session.rows(self._select, hour, shard, above, count - len(readers))
            readers.extend(UserId(row[0]) for row in rows)
            if len(readers) == count:
                break
        return readers
