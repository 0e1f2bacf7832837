"""Photos whose original has not arrived yet, in Cassandra."""

from datetime import UTC, datetime, timedelta

from schemas.ids import PhotoId, UserId
from streams.core.photos import ParkedPhoto
from streams.stores.cassandra.session import CassandraSession

PARKED_SHARDS = 16


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _at(ms: int) -> datetime:
    return _EPOCH + timedelta(milliseconds=ms)


def _ms(naive: datetime) -> int:
    return (naive.replace(tzinfo=UTC) - _EPOCH) // timedelta(milliseconds=1)


class CassandraParkedPhotos:
    """Table `parked`."""

    def __init__(self, session: CassandraSession) -> None:
        self._session = session
        self._park = session.prepare(
            "INSERT INTO parked (shard, due_at, photo_id, author_id, object_key, parked_at)"
            " VALUES (?, ?, ?, ?, ?, ?)"
        )
        self._due = session.prepare(
            "SELECT photo_id, author_id, object_key, parked_at, due_at FROM parked"
            " WHERE shard IN ? AND due_at <= ? LIMIT ?"
        )
        self._unpark = session.prepare("DELETE FROM parked WHERE shard = ? AND due_at = ? AND photo_id = ?")

    async def park(self, photo: ParkedPhoto) -> None:
        shard = photo.photo_id % PARKED_SHARDS
        due_at, parked_at = _at(photo.due_ms), _at(photo.parked_ms)
        await self._session.rows(
            self._park, shard, due_at, photo.photo_id, photo.author_id, photo.object_key, parked_at
        )

    async def due(self, now_ms: int, limit: int) -> list[ParkedPhoto]:
        rows = await self._session.rows(self._due, list(range(PARKED_SHARDS)), _at(now_ms), limit)
        return [
            ParkedPhoto(
                photo_id=PhotoId(photo),
                author_id=UserId(author),
                object_key=object_key,
                parked_ms=_ms(parked_at),
                due_ms=_ms(due_at),
            )
            for photo, author, object_key, parked_at, due_at in rows
        ]

    async def unpark(self, photo: ParkedPhoto) -> None:
        shard = photo.photo_id % PARKED_SHARDS
        await self._session.rows(self._unpark, shard, _at(photo.due_ms), photo.photo_id)
