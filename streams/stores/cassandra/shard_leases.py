"""Shard leases in Cassandra."""

import random
from datetime import UTC, datetime, timedelta
from uuid import UUID

from schemas.ids import OWN_SHARDS
from streams.ports.coordination import ShardLease
from streams.stores.cassandra.session import CassandraSession

LEASE_LIFE_MS = 60_000


LEASE_TRIES = 16


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _at(ms: int) -> datetime:
    return _EPOCH + timedelta(milliseconds=ms)


def _ms(naive: datetime) -> int:
    return (naive.replace(tzinfo=UTC) - _EPOCH) // timedelta(milliseconds=1)


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
