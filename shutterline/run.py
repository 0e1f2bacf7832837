"""What the operators' commands of `shutterline` do on the write side."""

import asyncio
import logging

from rich.console import Console

from shutterline.failures import CommandFailed, load_settings, require


def log_to_stderr() -> None:
    """One line a message, with its time; ours from INFO on, libraries' from WARNING."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("streams").setLevel(logging.INFO)
    # It warns of a keyspace set by USE, on every process's start; ours is set once, by connect().
    logging.getLogger("cassandra.protocol").setLevel(logging.ERROR)
    # One line for each of its agents' supervisors.
    logging.getLogger("streams.kafka.consuming.app").setLevel(logging.WARNING)
    logging.getLogger("api").setLevel(logging.INFO)


def topics(console: Console) -> None:
    """Create the topics that are missing and verify the others."""
    from topics.admin import TopicMismatch, ensure_topics

    settings = load_settings()
    asyncio.run(require(settings, "kafka"))
    try:
        report = ensure_topics(settings.kafka, settings.namespace, client_config=settings.kafka_security)
    except TopicMismatch as error:
        raise CommandFailed(str(error)) from error
    console.print(f"{len(report.created)} topics created, {len(report.verified)} verified")


def migrate(console: Console) -> None:
    """Apply the statements of `cassandra/` that are new."""
    from streams.stores.cassandra.migrations import MigrationRefused
    from streams.stores.cassandra.migrations import migrate as apply
    from streams.stores.cassandra.session import make_cluster

    settings = load_settings()
    asyncio.run(require(settings, "cassandra"))
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


def worker(roles: str | None, *, media: bool) -> None:
    """Run a worker of these roles (names and commas) until it is told to stop.

    By default those that handle events; with `media` those that make renditions.
    """
    import uvloop

    from streams.roles import EVENT_ROLES, MEDIA_ROLES, Role
    from streams.worker.process import run_worker

    if media and roles is not None:
        raise CommandFailed("Give either --media or --roles.")
    settings, chosen = load_settings(), list(MEDIA_ROLES if media else EVENT_ROLES)
    if roles is not None:
        for name in roles.split(","):
            if name not in [role.value for role in Role]:
                raise CommandFailed(
                    f"{name!r} is no role; choose among {', '.join(Role)}, with commas between"
                )
        chosen = [Role(name) for name in roles.split(",")]
    log_to_stderr()
    uvloop.run(run_worker(settings, chosen))


def resume(group: str, console: Console) -> None:
    """Let the stopped partitions of a group go on."""
    count = asyncio.run(_resume(group))
    if count == 0:
        raise CommandFailed(f"No partition of the group {group} is stopped; there is nothing to resume.")
    console.print(f"{count} partitions of {group} go on within a second")


async def _resume(group: str) -> int:
    from streams.stores.connect import connect

    settings = load_settings()
    await require(settings, "cassandra")
    async with connect(settings, timeout_ms=settings.worker_store_timeout_ms) as stores:
        return await stores.stops.resume(group)
