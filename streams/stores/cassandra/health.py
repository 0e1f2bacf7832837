"""The row that shows whether Cassandra takes writes and reads."""

from datetime import UTC, datetime

from streams.ports.health import StoreProbe
from streams.stores.cassandra.session import CassandraSession

_ROW = 0


class CassandraStoreProbe(StoreProbe):
    """The one row of table `probes`."""

    def __init__(self, session: CassandraSession) -> None:
        self._session = session
        self._write = session.prepare("INSERT INTO probes (probe, written_at) VALUES (?, ?)")
        self._read = session.prepare("SELECT written_at FROM probes WHERE probe = ?")

    async def check(self) -> None:
        await self._session.rows(self._write, _ROW, datetime.now(UTC))
        await self._session.rows(self._read, _ROW)
