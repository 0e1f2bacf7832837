"""Stopped and stuck partitions in Cassandra."""

from schemas.times import as_utc, ms_of, utc_datetime_of_ms
from streams.ports.coordination import STUCK_LIFE_S, Stop, StoppedPartitions, StuckPartitions
from streams.stores.cassandra.session import CassandraSession


class CassandraStoppedPartitions(StoppedPartitions):
    """Table `stops`."""

    def __init__(self, session: CassandraSession) -> None:
        self._session = session
        self._stop = session.prepare(
            "INSERT INTO stops (consumer_group, topic, partition, position, reason, since)"
            " VALUES (?, ?, ?, ?, ?, ?)"
        )
        self._stops = session.prepare(
            "SELECT topic, partition, position, reason, since FROM stops WHERE consumer_group = ?"
        )
        self._resume = session.prepare("DELETE FROM stops WHERE consumer_group = ?")

    async def stop(self, stop: Stop) -> None:
        since = utc_datetime_of_ms(stop.since_ms)
        await self._session.rows(
            self._stop, stop.group, stop.topic, stop.partition, stop.position, stop.reason, since
        )

    async def stops(self, group: str) -> list[Stop]:
        return [
            Stop(
                group=group,
                topic=topic,
                partition=partition,
                position=position,
                reason=reason,
                since_ms=ms_of(as_utc(since)),
            )
            for topic, partition, position, reason, since in await self._session.rows(self._stops, group)
        ]

    async def resume(self, group: str) -> int:
        stopped = await self.stops(group)
        await self._session.rows(self._resume, group)
        return len(stopped)


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
