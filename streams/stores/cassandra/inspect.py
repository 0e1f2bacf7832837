"""Rows as an operator wants to see them: columns that no handler reads back."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime

from schemas.ids import PhotoId
from streams.core.breaker import Breaker
from streams.settings import Settings
from streams.stores.cassandra.parked import PARKED_SHARDS
from streams.stores.cassandra.session import CassandraSession, make_cluster


@dataclass(frozen=True, slots=True)
class StoredDelivery:
    """How a photo was delivered, as the row says; None where it was not yet."""

    mode: str | None
    lane: str | None
    reason: str | None


@dataclass(frozen=True, slots=True)
class ParkedRow:
    """A photo whose original is waited for; times in UTC."""

    due_at: datetime
    parked_at: datetime


class CassandraInspect:
    """Looks at rows one key at a time."""

    def __init__(self, session: CassandraSession) -> None:
        self._session = session
        self._delivery = session.prepare(
            "SELECT delivery_mode, delivery_lane, delivery_reason FROM photos WHERE photo_id = ?"
        )
        self._tombstones = session.prepare("SELECT author_id FROM tombstones WHERE photo_id = ?")
        self._mode = session.prepare("SELECT mode_by_size FROM authors WHERE author_id = ?")
        # One of 16 partitions, which hold only what is waited for now.
        self._parked = session.prepare(
            "SELECT due_at, parked_at FROM parked WHERE shard = ? AND photo_id = ? ALLOW FILTERING"
        )

    async def delivery(self, photo: PhotoId) -> StoredDelivery:
        rows = await self._session.rows(self._delivery, photo)
        return StoredDelivery(*rows[0]) if rows else StoredDelivery(None, None, None)

    async def buried_by(self, photo: PhotoId) -> list[int]:
        """Who deleted the photo id; more than its author, when others tried before it came."""
        return [row[0] for row in await self._session.rows(self._tombstones, photo)]

    async def mode_by_size(self, author: int) -> str | None:
        rows = await self._session.rows(self._mode, author)
        return rows[0][0] if rows else None

    async def parked(self, photo: PhotoId) -> list[ParkedRow]:
        rows = await self._session.rows(self._parked, photo % PARKED_SHARDS, photo)
        return [ParkedRow(*row) for row in rows]


@asynccontextmanager
async def one_session(settings: Settings) -> AsyncIterator[CassandraSession]:
    """A session for a command: it ends with it.

    Raises:
        NoHostAvailable: No node answers; commands look for one before.
    """
    timeout_s = settings.worker_store_timeout_ms / 1_000
    breaker = Breaker(failures_max=settings.breaker_failures_max, open_s=settings.breaker_open_ms / 1_000)
    cluster = make_cluster(settings, timeout_s)
    try:
        session = await asyncio.to_thread(cluster.connect, settings.keyspace)
        yield CassandraSession(session, breaker, timeout_s)
    finally:
        await asyncio.to_thread(cluster.shutdown)
