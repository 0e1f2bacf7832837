"""Revocations in Cassandra."""

from datetime import datetime
from uuid import uuid1

from schemas.times import as_utc, ms_of, utc_datetime_of_ms
from streams.ports.revocations import Revocation, RevocationKind, Revocations
from streams.stores.cassandra.session import CassandraSession

NO_TTL = 0


class CassandraRevocations(Revocations):
    """Table `revocations`: one partition.

    `revoke` also changes the static cell `changed`, in the same mutation. So the cell is the version.
    If it expires with its row, the version changes too, which costs readers one read of all.
    """

    def __init__(self, session: CassandraSession) -> None:
        self._session = session
        self._revoke = session.prepare(
            "INSERT INTO revocations"
            " (shard, kind, subject, revoked_at, issued_before, revoked_by, reason, changed)"
            " VALUES (0, ?, ?, ?, ?, ?, ?, ?) USING TTL ?"
        )
        self._changed = session.prepare("SELECT DISTINCT shard, changed FROM revocations WHERE shard = 0")
        self._all = session.prepare(
            "SELECT kind, subject, revoked_at, issued_before, revoked_by, reason FROM revocations"
            " WHERE shard = 0"
        )

    async def revoke(self, revocation: Revocation, *, life_s: int | None) -> None:
        before_ms = revocation.issued_before_ms
        await self._session.rows(
            self._revoke,
            revocation.kind,
            revocation.subject,
            utc_datetime_of_ms(revocation.revoked_ms),
            None if before_ms is None else utc_datetime_of_ms(before_ms),
            revocation.revoked_by,
            revocation.reason,
            uuid1(),
            NO_TTL if life_s is None else life_s,
        )

    async def version(self) -> str:
        rows = await self._session.rows(self._changed)
        return str(rows[0][1]) if rows else ""

    async def all(self) -> list[Revocation]:
        return [
            Revocation(
                kind=RevocationKind(kind),
                subject=subject,
                issued_before_ms=None if issued_before is None else _ms(issued_before),
                revoked_ms=_ms(revoked_at),
                revoked_by=revoked_by,
                reason=reason,
            )
            # A partition whose rows have expired, but not its static cell, has a row without a kind.
            for kind, subject, revoked_at, issued_before, revoked_by, reason in await self._session.rows(
                self._all
            )
            if kind is not None
        ]


def _ms(moment: datetime) -> int:
    return ms_of(as_utc(moment))
