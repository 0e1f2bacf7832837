"""Stopped partitions in Cassandra."""

from schemas.times import as_utc, ms_of, utc_datetime_of_ms
from streams.ports.coordination import Stop, StoppedPartitions
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
