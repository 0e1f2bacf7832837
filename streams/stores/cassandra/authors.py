"""Authors' delivery modes, and the authors whose photos are pulled, in Cassandra."""

from uuid import uuid1

from schemas.ids import UserId
from streams.core.delivery import Mode
from streams.ports.photos import Authors, PulledAuthors
from streams.stores.cassandra.session import CassandraSession


class CassandraAuthors(Authors):
    """Table `authors`."""

    def __init__(self, session: CassandraSession) -> None:
        self._session = session
        self._select = session.prepare("SELECT mode_by_size FROM authors WHERE author_id = ?")
        self._insert = session.prepare("INSERT INTO authors (author_id, mode_by_size) VALUES (?, ?)")

    async def mode_by_size(self, author: UserId) -> Mode:
        rows = await self._session.rows(self._select, author)
        return Mode(rows[0][0]) if rows else Mode.PUSH

    async def remember_mode(self, author: UserId, mode: Mode) -> None:
        await self._session.rows(self._insert, author, mode)


class CassandraPulledAuthors(PulledAuthors):
    """Table `pulled_authors`: one partition.

    `add` also changes the static cell `changed`, in the same mutation. So the cell is the version.
    """

    def __init__(self, session: CassandraSession) -> None:
        self._session = session
        self._add = session.prepare("INSERT INTO pulled_authors (shard, author_id, changed) VALUES (0, ?, ?)")
        self._changed = session.prepare("SELECT DISTINCT shard, changed FROM pulled_authors WHERE shard = 0")
        self._all = session.prepare("SELECT author_id FROM pulled_authors WHERE shard = 0")

    async def add(self, author: UserId) -> None:
        await self._session.rows(self._add, author, uuid1())

    async def version(self) -> str:
        rows = await self._session.rows(self._changed)
        return str(rows[0][1]) if rows else ""

    async def all(self) -> frozenset[UserId]:
        return frozenset(UserId(row[0]) for row in await self._session.rows(self._all))
