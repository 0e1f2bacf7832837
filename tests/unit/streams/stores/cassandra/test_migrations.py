"""The migrations while Cassandra hesitates."""

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, cast

import pytest
from cassandra.cluster import NoHostAvailable, Session

from streams.settings import Settings
from streams.stores.cassandra import migrations
from streams.stores.cassandra.migrations import TRIES_MAX, SchemaDisagreement, migrate, read_migrations


@dataclass(frozen=True)
class Node:
    endpoint: str


NODES = (Node("first"), Node("second"))


class Rows(list[Any]):
    def one(self) -> Any:
        return self[0]


class HesitatingSession:
    """Responds to a statement only after so many tries. It has two nodes, of which the second has the
    first's schema only after it was asked so many times."""

    def __init__(self, failures: int = 0, disagreements: int = 0) -> None:
        self._failures = failures
        self._left = failures
        self._disagreements = disagreements
        self._behind = 0
        self.succeeded: list[str] = []
        self.cluster = SimpleNamespace(max_schema_agreement_wait=10)

    def execute(self, statement: str, parameters: object = (), host: Node | None = None) -> Rows:
        if host is not None:
            return self._schema_version(host)
        if self._left:
            self._left -= 1
            raise NoHostAvailable("no connection", {})
        self._left = self._failures
        if statement.startswith(("CREATE", "ALTER")):
            assert not self._behind
            self._behind = self._disagreements
        self.succeeded.append(statement)
        return Rows()

    def _schema_version(self, node: Node) -> Rows:
        if node == NODES[1] and self._behind:
            self._behind -= 1
            return Rows([("the one before",)])
        return Rows([("the newest",)])

    def get_pool_state(self) -> dict[Node, Any]:
        return dict.fromkeys(NODES)

    def set_keyspace(self, keyspace: str) -> None:
        pass


@pytest.fixture(autouse=True)
def no_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(migrations, "WAIT_S_MAX", 0.0)
    monkeypatch.setattr(migrations, "LOOK_S", 0.0)


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


def test_each_statement_waits_until_all_nodes_have_the_one_before() -> None:
    session = HesitatingSession(disagreements=3)

    assert migrate(cast(Session, session), Settings()) == read_migrations()


def test_nodes_that_do_not_agree_are_an_error_that_names_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(migrations, "AGREEMENT_S_MAX", 0.0)

    with pytest.raises(SchemaDisagreement, match="first the newest, second the one before"):
        migrate(cast(Session, HesitatingSession(disagreements=1)), Settings())
