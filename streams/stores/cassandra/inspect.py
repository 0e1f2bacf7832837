"""Rows for operators: columns that are stored but that no handler reads."""

from dataclasses import dataclass
from datetime import datetime

from schemas.ids import PhotoId
from streams.stores.cassandra.parked import PARKED_SHARDS
from streams.stores.cassandra.session import CassandraSession


@dataclass(frozen=True, slots=True)
class StoredDelivery:
    """How a photo is delivered; None in every field if it has not been decided."""

    mode: str | None
    lane: str | None
    reason: str | None


@dataclass(frozen=True, slots=True)
class ParkedRow:
    """A row of a photo whose original has not arrived; times in UTC."""

    due_at: datetime
    parked_at: datetime


class CassandraInspect:
    """Reads rows, one key at a time."""

    def __init__(self, session: CassandraSession) -> None:
        self._session = session
        self._delivery = session.prepare(
            "SELECT delivery_mode, delivery_lane, delivery_reason FROM photos WHERE photo_id = ?"
        )
        self._tombstones = session.prepare("SELECT author_id FROM tombstones WHERE photo_id = ?")
        self._mode = session.prepare("SELECT mode_by_size FROM authors WHERE author_id = ?")
        # Filtering is cheap: it reads one of 16 partitions, which have only the photos that wait
        # now.
        self._parked = session.prepare(
            "SELECT due_at, parked_at FROM parked WHERE shard = ? AND photo_id = ? ALLOW FILTERING"
        )

    async def delivery(self, photo: PhotoId) -> StoredDelivery:
        rows = await self._session.rows(self._delivery, photo)
        return StoredDelivery(*rows[0]) if rows else StoredDelivery(None, None, None)

    async def tombstone_authors(self, photo: PhotoId) -> list[int]:
        """Return every user who has a tombstone for the photo id.

        Other users than the author may have tried to delete the id before the photo existed.
        """
        return [row[0] for row in await self._session.rows(self._tombstones, photo)]

    async def mode_by_size(self, author: int) -> str | None:
        rows = await self._session.rows(self._mode, author)
        return rows[0][0] if rows else None

    async def parked(self, photo: PhotoId) -> list[ParkedRow]:
        rows = await self._session.rows(self._parked, photo % PARKED_SHARDS, photo)
        return [ParkedRow(*row) for row in rows]
