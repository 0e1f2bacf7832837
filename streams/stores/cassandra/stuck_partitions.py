"""Partitions at which workers ended themselves, in Cassandra."""

from streams.ports.coordination import STUCK_LIFE_S, StuckPartitions
from streams.stores.cassandra.session import CassandraSession


class CassandraStuckPartitions(StuckPartitions):
    """Table `stuck_partitions`."""

    def __init__(self, session: CassandraSession) -> None:
        self._session = session
        self._read = session.prepare(
            "SELECT position, ended FROM stuck_partitions"
            " WHERE consumer_group = ? AND topic = ? AND partition = ?"
        )
        self._write = session.prepare(
            "INSERT INTO stuck_partitions (consumer_group, topic, partition, position, ended)"
            f" VALUES (?, ?, ?, ?, ?) USING TTL {STUCK_LIFE_S}"
        )

    async def ended_at(self, group: str, topic: str, partition: int, position: int) -> int:
        rows = await self._session.rows(self._read, group, topic, partition)
        ended = 1 + next((times for stored, times in rows if stored == position), 0)
        await self._session.rows(self._write, group, topic, partition, position, ended)
        return ended
