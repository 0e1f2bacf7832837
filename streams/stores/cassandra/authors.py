"""Authors' delivery modes, and the authors whose photos are pulled, in Cassandra."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from uuid import uuid1

from more_itertools import sliced

from schemas.ids import UserId
from streams.core.delivery import Mode
from streams.ports.photos import Authors, PulledAuthors
from streams.stores.cassandra.session import CassandraSession

AUTHORS_A_CALL = 100


class CassandraAuthors(Authors):
    """Table `authors`."""

    def __init__(self, session: CassandraSession) -> None:
        self._session = session
        self._select = session.prepare("SELECT author_id, mode_by_size FROM authors WHERE author_id IN ?")
        self._insert = session.prepare("INSERT INTO authors (author_id, mode_by_size) VALUES (?, ?)")

    async def modes_by_size(self, authors: Sequence[UserId]) -> dict[UserId, Mode]:
        calls = [self._session.rows(self._select, list(ids)) for ids in sliced(authors, AUTHORS_A_CALL)]
        modes = dict.fromkeys(authors, Mode.PUSH)
        for rows in await asyncio.gather(*calls):
            modes |= {UserId(author): Mode(mode) for author, mode in rows}
        return modes

    async def remember_modes(self, modes: Mapping[UserId, Mode]) -> None:
        await self._session.batches([(self._insert, (author, mode)) for author, mode in modes.items()])


class CassandraPulledAuthors(PulledAuthors):
    """Table `pulled_authors`: one partition.

    `add` also changes the static cell `changed`, in the same mutation. So the cell is the version.
    """

    def __init__(self, session: CassandraSession) -> None:
        self._session = session
        self._add = session.prepare("INSERT INTO pulled_authors (shard, author_id, changed) VALUES (0, ?, ?)")
        self._changed = session.prepare("SELECT DISTINCT shard, changed FROM pulled_authors WHERE shard = 0")
        self._all = session.prepare("SELECT author_id FROM pulled_authors WHERE shard = 0")

    async def add(self, authors: Collection[UserId]) -> None:
        await self._session.batches([(self._add, (author, uuid1())) for author in authors])

    async def version(self) -> str:
        rows = await self._session.rows(self._changed)
        return str(rows[0][1]) if rows else ""

    async def all(self) -> frozenset[UserId]:
        return frozenset(UserId(row[0]) for row in await self._session.rows(self._all))
