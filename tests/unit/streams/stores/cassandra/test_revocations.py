"""Revocations in Cassandra that a newer version of a process wrote."""

from datetime import datetime
from typing import cast

import pytest

from streams.ports.revocations import RevocationKind
from streams.stores.cassandra.revocations import CassandraRevocations
from streams.stores.cassandra.session import CassandraSession, Row

AT = datetime(2026, 1, 31)  # noqa: DTZ001 - as the driver returns it.


class _Rows:
    """A session in whose table are rows of these kinds."""

    def __init__(self, *kinds: str | None) -> None:
        self._kinds = kinds

    def prepare(self, cql: str) -> str:
        return cql

    async def rows(self, statement: str, *values: object) -> list[Row]:
        return [(kind, "subject", AT, None, "ada", "stolen") for kind in self._kinds]


async def test_a_kind_of_a_newer_version_is_left_out_and_logged_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It would end every process of the older version, which polls the table."""
    session = cast(CassandraSession, _Rows("device", "key", None, "device"))
    revocations = CassandraRevocations(session)

    read = [[revocation.kind for revocation in await revocations.all()] for _ in range(2)]

    assert read == [[RevocationKind.KEY]] * 2
    assert [record.message for record in caplog.records] == [
        "revocations of the kind 'device' have no effect in this version"
    ]
