"""The migrations on a real Cassandra, after a process died anywhere in them."""

from infra.local.stack import Stack
from streams.settings import Settings
from streams.stores.cassandra.migrations import migrate, read_migrations
from streams.stores.cassandra.session import make_cluster


def test_a_process_may_die_between_a_statement_and_its_note(stack: Stack) -> None:
    """Also where the statement cannot be repeated, such as one that adds a column."""
    settings = Settings(cassandra=stack.environment()["SHUTTERLINE_CASSANDRA"], namespace="migrations.")
    versions = [migration.version for migration in read_migrations()]
    cluster = make_cluster(settings, timeout_s=30.0)
    try:
        session = cluster.connect()
        migrate(session, settings)
        for version in versions:
            session.execute("DELETE FROM schema_migrations WHERE version = %s", (version,))

        assert [migration.version for migration in migrate(session, settings)] == versions
        assert migrate(session, settings) == []
    finally:
        cluster.shutdown()
