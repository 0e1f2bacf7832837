"""What the cleaning remembers, in Cassandra, and its scan over all photos by token."""

from collections.abc import Sequence

from schemas.ids import PhotoId
from schemas.times import as_utc, ms_of, utc_datetime_of_ms
from streams.ports.cleaning import CleaningPositions, CleaningScan, MissingObjects, PhotoScan
from streams.stores.cassandra.session import CassandraSession


class CassandraPhotoScan(PhotoScan):
    """Table `photos`; positions are tokens."""

    def __init__(self, session: CassandraSession) -> None:
        self._session = session
        self._after = session.prepare(
            "SELECT token(photo_id), photo_id FROM photos WHERE token(photo_id) > ? LIMIT ?"
        )

    async def after(self, position: int, *, limit: int) -> Sequence[tuple[int, PhotoId]]:
        rows = await self._session.rows(self._after, position, limit)
        return [(token, PhotoId(photo)) for token, photo in rows]


class CassandraMissingObjects(MissingObjects):
    """Table `missing_objects`, written only by lightweight transactions."""

    def __init__(self, session: CassandraSession) -> None:
        self._session = session
        self._note = session.prepare(
            "INSERT INTO missing_objects (photo_id, since) VALUES (?, ?) IF NOT EXISTS", idempotent=False
        )
        self._forget = session.prepare(
            "DELETE FROM missing_objects WHERE photo_id = ? IF EXISTS", idempotent=False
        )
        self._all = session.prepare("SELECT photo_id, since FROM missing_objects")

    async def note(self, photo: PhotoId, now_ms: int) -> None:
        await self._session.rows(self._note, photo, utc_datetime_of_ms(now_ms))

    async def forget(self, photo: PhotoId) -> None:
        await self._session.rows(self._forget, photo)

    async def all(self) -> dict[PhotoId, int]:
        rows = await self._session.rows(self._all)
        return {PhotoId(photo): ms_of(as_utc(since)) for photo, since in rows}


class CassandraCleaningPositions(CleaningPositions):
    """Table `cleaning_places`."""

    def __init__(self, session: CassandraSession) -> None:
        self._session = session
        self._position = session.prepare("SELECT place FROM cleaning_places WHERE walk = ?")
        self._save = session.prepare("INSERT INTO cleaning_places (walk, place) VALUES (?, ?)")

    async def position(self, scan: CleaningScan) -> str:
        rows = await self._session.rows(self._position, scan)
        return str(rows[0][0]) if rows else ""

    async def save(self, scan: CleaningScan, position: str) -> None:
        await self._session.rows(self._save, scan, position)
