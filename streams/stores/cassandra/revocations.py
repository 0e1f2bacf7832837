"""Revocations in Cassandra."""

import logging
from datetime import datetime
from uuid import uuid1

from schemas.quoting import quoted
from schemas.times import as_utc, ms_of, utc_datetime_of_ms
from streams.ports.revocations import Revocation, RevocationKind, Revocations
from streams.stores.cassandra.session import CassandraSession

NO_TTL = 0
KINDS = frozenset(RevocationKind)
log = logging.getLogger(__name__)


class CassandraRevocations(Revocations):
    """Table `revocations`: one partition.

    `revoke` also changes the static cell `changed`, in the same mutation. So the cell is the version.
    If it expires with its row, the version changes too, which costs readers one read of all.

    Revocations of a kind that only a newer version knows are left out, and named in the log once.
    """

    def __init__(self, session: CassandraSession) -> None:
        self._session = session
        self._unknown: set[str] = set()
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
        rows = await self._session.rows(self._all)
        # A partition whose rows have expired, but not its static cell, has a row without a kind.
        kinds = {row[0] for row in rows} - {None}
        for kind in sorted(kinds - KINDS - self._unknown):
            log.warning("revocations of the kind %s have no effect in this version", quoted(kind))
            self._unknown.add(kind)
        return [
            Revocation(
                kind=RevocationKind(kind),
                subject=subject,
                issued_before_ms=None if issued_before is None else _ms(issued_before),
                revoked_ms=_ms(revoked_at),
                revoked_by=revoked_by,
                reason=reason,
            )
            for kind, subject, revoked_at, issued_before, revoked_by, reason in rows
            if kind in KINDS
        ]


def _ms(moment: datetime) -> int:
    return ms_of(as_utc(moment))
