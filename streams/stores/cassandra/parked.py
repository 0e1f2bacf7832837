"""Photos whose original has not arrived yet, in Cassandra."""

from schemas.ids import PhotoId, UserId
from schemas.times import as_utc, ms_of, utc_datetime_of_ms
from streams.core.photos import ParkedPhoto
from streams.ports.photos import ParkedPhotos
from streams.stores.cassandra.session import CassandraSession

PARKED_SHARDS = 16


class CassandraParkedPhotos(ParkedPhotos):
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
        await self._session.rows(
            self._park,
            photo.photo_id % PARKED_SHARDS,
            utc_datetime_of_ms(photo.due_ms),
            photo.photo_id,
            photo.author_id,
            photo.object_key,
            utc_datetime_of_ms(photo.parked_ms),
        )

    async def due(self, now_ms: int, limit: int) -> list[ParkedPhoto]:
        shards = list(range(PARKED_SHARDS))
        rows = await self._session.rows(self._due, shards, utc_datetime_of_ms(now_ms), limit)
        return [
            ParkedPhoto(
                photo_id=PhotoId(photo),
                author_id=UserId(author),
                object_key=object_key,
                parked_ms=ms_of(as_utc(parked_at)),
                due_ms=ms_of(as_utc(due_at)),
            )
            for photo, author, object_key, parked_at, due_at in rows
        ]

    async def unpark(self, photo: ParkedPhoto) -> None:
        shard = photo.photo_id % PARKED_SHARDS
        await self._session.rows(self._unpark, shard, utc_datetime_of_ms(photo.due_ms), photo.photo_id)
