"""The row that shows whether Cassandra takes writes and reads, and Cassandra's clock."""

from datetime import UTC, datetime

from streams.ports.health import StoreClock, StoreProbe
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


class CassandraStoreClock(StoreClock):
    """The clock of the node that coordinates the read: each time another one, in turn."""

    def __init__(self, session: CassandraSession) -> None:
        self._session = session
        self._now = session.prepare("SELECT toUnixTimestamp(now()) FROM system.local")

    async def now_us(self) -> int:
        ((now_ms,),) = await self._session.rows(self._now)
        return int(now_ms) * 1_000
