"""The migrations while Cassandra hesitates."""

from typing import Any, cast

import pytest
from cassandra.cluster import NoHostAvailable, Session

from streams.settings import Settings
from streams.stores.cassandra import migrations
from streams.stores.cassandra.migrations import TRIES_MAX, migrate, read_migrations


class HesitatingSession:
    """Responds to a statement only after so many tries."""

    def __init__(self, failures: int) -> None:
        self._failures = failures
        self._left = failures
        self.succeeded: list[str] = []

    def execute(self, statement: str, parameters: object = ()) -> list[Any]:
        if self._left:
            self._left -= 1
            raise NoHostAvailable("no connection", {})
        self._left = self._failures
        self.succeeded.append(statement)
        return []

    def set_keyspace(self, keyspace: str) -> None:
        pass


@pytest.fixture(autouse=True)
def no_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(migrations, "WAIT_S_MAX", 0.0)


def test_a_node_that_does_not_respond_for_a_moment_ends_no_migration() -> None:
    session = HesitatingSession(failures=TRIES_MAX - 1)

    applied = migrate(cast(Session, session), Settings())

    assert applied == read_migrations()
    assert [statement for statement in session.succeeded if statement in {m.statement for m in applied}] == [
        migration.statement for migration in applied
    ]


def test_a_node_that_never_responds_is_an_error() -> None:
    with pytest.raises(NoHostAvailable):
        migrate(cast(Session, HesitatingSession(failures=TRIES_MAX)), Settings())
