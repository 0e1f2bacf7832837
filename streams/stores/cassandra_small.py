"""The small tables: authors' modes, pulled authors, parked photos, stops and shard leases."""

import random
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid1

from schemas.ids import OWN_SHARDS, PhotoId, UserId
from streams.core.delivery import Mode
from streams.stores.cassandra_session import CassandraSession
from streams.stores.ports import ParkedPhoto, ShardLease, Stop

PARKED_SHARDS = 16
LEASE_LIFE_MS = 60_000
LEASE_TRIES = 16

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _at(ms: int) -> datetime:
    return _EPOCH + timedelta(milliseconds=ms)


def _ms(naive: datetime) -> int:
    return (naive.replace(tzinfo=UTC) - _EPOCH) // timedelta(milliseconds=1)


class CassandraAuthors:
    """Table `authors`."""

    def __init__(self, session: CassandraSession) -> None:
        self._session = session
        self._get = session.prepare("SELECT mode_by_size FROM authors WHERE author_id = ?")
        self._put = session.prepare("INSERT INTO authors (author_id, mode_by_size) VALUES (?, ?)")

    async def mode_by_size(self, author: UserId) -> Mode:
        rows = await self._session.rows(self._get, author)
        return Mode(rows[0][0]) if rows else Mode.PUSH

    async def remember_mode(self, author: UserId, mode: Mode) -> None:
        await self._session.rows(self._put, author, mode)


class CassandraPulledAuthors:
    """Table `pulled_authors`: one partition, whose mark changes with its rows in the same mutation."""

    def __init__(self, session: CassandraSession) -> None:
        self._session = session
        self._add = session.prepare("INSERT INTO pulled_authors (shard, author_id, changed) VALUES (0, ?, ?)")
        self._mark = session.prepare("SELECT DISTINCT shard, changed FROM pulled_authors WHERE shard = 0")
        self._all = session.prepare("SELECT author_id FROM pulled_authors WHERE shard = 0")

    async def add(self, author: UserId) -> None:
        await self._session.rows(self._add, author, uuid1())

    async def mark(self) -> str:
        rows = await self._session.rows(self._mark)
        return str(rows[0][1]) if rows else ""

    async def all(self) -> frozenset[UserId]:
        return frozenset(UserId(row[0]) for row in await self._session.rows(self._all))


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


class CassandraShardLeases:
    """Table `shard_leases`, by compare-and-set.

    Safe whatever the clocks say: a new holder starts after the last millisecond that the
    old one had reserved, and the old one cannot reserve further.
    """

    def __init__(self, session: CassandraSession) -> None:
        self._session = session
        self._get = session.prepare(
            "SELECT holder, expires_at, reserved_until_ms FROM shard_leases WHERE shard = ?"
        )
        self._first = session.prepare(
            "INSERT INTO shard_leases (shard, holder, expires_at, reserved_until_ms)"
            " VALUES (?, ?, ?, ?) IF NOT EXISTS",
            idempotent=False,
        )
        self._take = session.prepare(
            "UPDATE shard_leases SET holder = ?, expires_at = ? WHERE shard = ?"
            " IF holder = ? AND expires_at = ? AND reserved_until_ms = ?",
            idempotent=False,
        )
        self._reserve = session.prepare(
            "UPDATE shard_leases SET reserved_until_ms = ?, expires_at = ? WHERE shard = ? IF holder = ?",
            idempotent=False,
        )

        self._release = session.prepare(
            "UPDATE shard_leases SET expires_at = ? WHERE shard = ? IF holder = ?", idempotent=False
        )

    async def acquire(self, holder: str, now_ms: int) -> ShardLease:
        expires_at = _at(now_ms + LEASE_LIFE_MS)
        for shard in random.sample(range(OWN_SHARDS), LEASE_TRIES):
            rows = await self._session.rows(self._first, shard, UUID(holder), expires_at, now_ms)
            if rows[0][0]:
                return ShardLease(shard=shard, last_ms=now_ms)
            held_by, until, reserved_ms = (await self._session.rows(self._get, shard))[0]
            # A shard whose ids run ahead of our clock would make us wait; take another.
            if _ms(until) > now_ms or reserved_ms > now_ms:
                continue
            taken = await self._session.rows(
                self._take, UUID(holder), expires_at, shard, held_by, until, reserved_ms
            )
            if taken[0][0]:
                return ShardLease(shard=shard, last_ms=reserved_ms)
        raise LookupError(f"none of {LEASE_TRIES} shards tried is free; are that many processes running?")

    async def reserve(self, holder: str, shard: int, until_ms: int, now_ms: int) -> None:
        expires_at = _at(now_ms + LEASE_LIFE_MS)
        rows = await self._session.rows(self._reserve, until_ms, expires_at, shard, UUID(holder))
        if not rows[0][0]:
            raise PermissionError(f"shard {shard} is leased to another process; stop minting and lease anew")

    async def release(self, holder: str, shard: int) -> None:
        await self._session.rows(self._release, _at(0), shard, UUID(holder))
