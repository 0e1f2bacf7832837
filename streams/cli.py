"""What the operators' commands of `shutterline` do on the write side."""

import asyncio
import logging
from collections.abc import Collection

from rich.console import Console

from streams.settings import Settings, load
from streams.worker import Role, run_worker
from topics.admin import TopicMismatch, ensure_topics


class CommandFailed(Exception):
    """Shown to the user as it is, without a traceback."""


def log_to_stderr() -> None:
    """One line a message, with its time; ours from INFO on, libraries' from WARNING."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("streams").setLevel(logging.INFO)
    logging.getLogger("api").setLevel(logging.INFO)


def topics(console: Console) -> None:
    """Create the topics that are missing and verify the others."""
    settings = load()
    try:
        report = ensure_topics(settings.kafka, settings.namespace, client_config=settings.kafka_security)
    except TopicMismatch as error:
        raise CommandFailed(str(error)) from error
    console.print(f"{len(report.created)} topics created, {len(report.verified)} verified")


def migrate(console: Console) -> None:
    """Apply the statements of `cassandra/` that are new."""
    from streams.stores.cassandra_session import make_cluster
    from streams.stores.migrations import MigrationRefused
    from streams.stores.migrations import migrate as apply

    settings = load()
    cluster = make_cluster(settings, timeout_s=30.0)
    try:
        applied = apply(cluster.connect(), settings)
    except MigrationRefused as error:
        raise CommandFailed(str(error)) from error
    finally:
        cluster.shutdown()
    for migration in applied:
        console.print(f"applied {migration.version:04}_{migration.name}")
    console.print(f"keyspace {settings.keyspace}: {len(applied)} applied, all up to date")


def worker(roles: Collection[Role]) -> None:
    """Run a worker until it is told to stop."""
    import uvloop

    log_to_stderr()
    uvloop.run(run_worker(load(), roles))


def resume(group: str, console: Console) -> None:
    """Let the stopped partitions of a group go on."""
    count = asyncio.run(_resume(load(), group))
    if count == 0:
        raise CommandFailed(f"no partition of the group {group} is stopped; nothing to resume")
    console.print(f"{count} partitions of {group} go on within a second")


async def _resume(settings: Settings, group: str) -> int:
    from streams.stores.connect import connect

    async with connect(settings, timeout_ms=settings.worker_store_timeout_ms) as stores:
        return await stores.stops.resume(group)
