"""Stopped partitions in Cassandra."""

from datetime import UTC, datetime, timedelta

from streams.ports.coordination import Stop
from streams.stores.cassandra.session import CassandraSession

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _at(ms: int) -> datetime:
    return _EPOCH + timedelta(milliseconds=ms)


def _ms(naive: datetime) -> int:
    return (naive.replace(tzinfo=UTC) - _EPOCH) // timedelta(milliseconds=1)


class CassandraStops:
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
        since = _at(stop.since_ms)
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
                since_ms=_ms(since),
            )
            for topic, partition, position, reason, since in await self._session.rows(self._stops, group)
        ]

    async def resume(self, group: str) -> int:
        stopped = await self.stops(group)
        await self._session.rows(self._resume, group)
        return len(stopped)
