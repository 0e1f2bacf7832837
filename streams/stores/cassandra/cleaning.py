"""What the cleaning remembers in Cassandra, and its walk over all photos by token."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from schemas.ids import PhotoId
from streams.ports.cleaning import Walk
from streams.stores.cassandra.session import CassandraSession

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class CassandraPhotoWalk:
    """Table `photos`; places are tokens."""

    def __init__(self, session: CassandraSession) -> None:
        self._session = session
        self._after = session.prepare(
            "SELECT token(photo_id), photo_id FROM photos WHERE token(photo_id) > ? LIMIT ?"
        )

    async def after(self, place: int, *, limit: int) -> Sequence[tuple[int, PhotoId]]:
        rows = await self._session.rows(self._after, place, limit)
        return [(token, PhotoId(photo)) for token, photo in rows]


class CassandraMissingObjects:
    """Table `missing_objects`, by lightweight transactions alone."""

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
        await self._session.rows(self._note, photo, _EPOCH + timedelta(milliseconds=now_ms))

    async def forget(self, photo: PhotoId) -> None:
        await self._session.rows(self._forget, photo)

    async def all(self) -> dict[PhotoId, int]:
        return {PhotoId(photo): _ms(since) for photo, since in await self._session.rows(self._all)}


class CassandraCleaningPositions:
    """Table `cleaning_places`."""

    def __init__(self, session: CassandraSession) -> None:
        self._session = session
        self._place = session.prepare("SELECT place FROM cleaning_places WHERE walk = ?")
        self._move = session.prepare("INSERT INTO cleaning_places (walk, place) VALUES (?, ?)")

    async def place(self, walk: Walk) -> str:
        rows = await self._session.rows(self._place, walk)
        return str(rows[0][0]) if rows else ""

    async def move(self, walk: Walk, place: str) -> None:
        await self._session.rows(self._move, walk, place)


def _ms(naive: datetime) -> int:
    return (naive.replace(tzinfo=UTC) - _EPOCH) // timedelta(milliseconds=1)
