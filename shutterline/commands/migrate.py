"""`shutterline migrate`: the tables must exist before a worker or the API starts."""

import asyncio

from shutterline.failures import CommandFailed, load_settings, plain_failures, require
from shutterline.terminal import terminal
from streams.stores.cassandra.migrations import MigrationRefused, SchemaDisagreement
from streams.stores.cassandra.migrations import migrate as apply
from streams.stores.cassandra.session import connect_to

CASSANDRA_TIMEOUT_S = 30.0


@plain_failures()
def migrate() -> None:
    """Apply the statements of `cassandra/` that are new."""
    settings, console = load_settings(), terminal()
    asyncio.run(require(cassandra=settings.cassandra))
    session = connect_to(None, settings, timeout_s=CASSANDRA_TIMEOUT_S)
    try:
        applied = apply(session, settings)
    except (MigrationRefused, SchemaDisagreement) as error:
        raise CommandFailed(str(error)) from error
    finally:
        session.cluster.shutdown()
    for migration in applied:
        console.print(f"applied {migration.version:04}_{migration.name}")
    console.print(f"keyspace {settings.keyspace}: {len(applied)} applied, all up to date")
