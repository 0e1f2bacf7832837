"""`shutterline topics`: create and verify the topics before a process starts; let them grow later."""

import asyncio
from typing import Annotated

import typer

from shutterline.failures import CommandFailed, load_settings, plain_failures, require, require_kafka
from shutterline.new_generation import INTERNAL, Generation, made_with
from shutterline.terminal import terminal
from streams.kafka.offsets.offsets import Offsets
from streams.roles import Role, group_of
from streams.settings import KafkaSettings
from streams.stores.connect import redis_client, timelines_of
from topics.admin import (
    CannotGrow,
    GroupsInUse,
    TopicsReport,
    add_partitions,
    delete_groups,
    delete_topics,
    ensure_topics,
    partition_counts,
    require_unused,
)
from topics.catalogue import FANOUT, OUTSIDE
from topics.sizes import SIZES

# At module level because its decorators are how typer learns the commands; it holds no state.
app = typer.Typer(add_completion=False, epilog="Example: shutterline topics")

Execute = Annotated[bool, typer.Option("--execute", help="Do it; otherwise only say it.")]


@app.callback(invoke_without_command=True)
@plain_failures()
def topics(context: typer.Context) -> None:
    """Create the topics that are missing, and verify those that exist.

    A topic that exists with other properties is a failure: nothing changes it silently.
    """
    if context.invoked_subcommand is not None:
        return
    settings = load_settings()
    asyncio.run(require_kafka(settings))
    report = _ensure(settings)
    terminal().print(f"{len(report.created)} topics created, {len(report.verified)} verified")


def _ensure(settings: KafkaSettings) -> TopicsReport:
    return ensure_topics(
        settings.kafka,
        settings.namespace,
        SIZES[settings.sizes],
        client_config=settings.kafka_security,
        replication_factor=settings.kafka_replicas,
    )


@app.command("grow", epilog="Example: shutterline topics grow likes 96 --execute")
@plain_failures(CannotGrow)
def grow(
    topic: Annotated[str, typer.Argument(help="uploads, follows or likes.")],
    partitions: Annotated[int, typer.Argument(min=1, help="How many it will have in all; never fewer.")],
    execute: Execute = False,
) -> None:
    """Add partitions to a topic that upstream apps write. Nothing has to stop for it."""
    growing = {outside.name: outside for outside in OUTSIDE}.get(topic)
    if growing is None:
        raise CommandFailed(
            f"Only {', '.join(each.name for each in OUTSIDE)} grow by adding partitions, not {topic}: "
            "docs/operations.md says how the others grow."
        )
    settings, console = load_settings(), terminal()
    asyncio.run(require_kafka(settings))
    name = growing.named(settings.namespace)
    before = add_partitions(
        settings.kafka, name, partitions, client_config=settings.kafka_security, is_dry_run=not execute
    )
    if not execute:
        console.print(f"{name} has {before} partitions, and would have {partitions}. Repeat with --execute.")
        return
    console.print(
        f"{name} had {before} partitions and has {partitions}. Restart every worker with the role check now: "
        "until then nobody reads the new ones. Then the API processes, so that they use them, too."
    )


@app.command("renew", epilog="Example: shutterline topics renew --execute")
@plain_failures(GroupsInUse)
def renew(execute: Execute = False) -> None:
    """Create edges, fanout and renditions again with the partitions of SHUTTERLINE_SIZES.

    Every record of them must have been handled. Every worker and API process must be stopped.
    """
    asyncio.run(_renew(execute=execute))


async def _renew(*, execute: bool) -> None:
    settings, console = load_settings(), terminal()
    await require_kafka(settings)
    await require(redis=settings.redis)
    namespace, wanted, security = settings.namespace, SIZES[settings.sizes], settings.kafka_security
    counts = partition_counts(settings.kafka, security)
    growing = {
        topic.name: wanted.partitions(topic)
        for topic in OUTSIDE
        if counts.get(topic.named(namespace), 0) < wanted.partitions(topic)
    }
    if growing:
        commands = (f"`shutterline topics grow {name} {count}`" for name, count in growing.items())
        raise CommandFailed(f"Nothing was changed. First: {', '.join(commands)}.")
    former = made_with(namespace, counts)
    if former is None:
        raise CommandFailed("The topics edges, fanout and renditions have the partitions of no profile.")
    redis = redis_client(settings, settings.worker_store_timeout_ms / 1_000)
    try:
        generation = Generation(
            namespace,
            [topic.named(namespace) for topic in INTERNAL if topic.named(namespace) in counts],
            former,
            Offsets(settings),
            timelines_of(redis, settings),
        )
        if execute:  # Before the look at what is left: a worker may move work to a topic that was looked at.
            require_unused(settings.kafka, [*generation.groups, group_of(namespace, Role.CHECK)], security)
        if unhandled := await generation.unhandled():
            raise CommandFailed(f"Nothing was changed, because {'; '.join(unhandled)}.")
        if not execute:
            console.print(
                f"Everything of {', '.join(generation.names)} is handled: they can go from the profile "
                f'"{former.profile}" to "{wanted.profile}". Stop all workers and API processes, then repeat '
                "this with --execute."
            )
            return
        # First what fails if a worker was started. After each step this may die, and be run again.
        delete_groups(settings.kafka, generation.groups, security)
        await generation.begin_at_zero(wanted.partitions(FANOUT))
        delete_topics(settings.kafka, generation.names, security)
    finally:
        await redis.close()
    report = _ensure(settings)
    console.print(
        f'{", ".join(report.created)} created for the profile "{wanted.profile}". Start the workers and the '
        "API with it, and with a higher SHUTTERLINE_EDGES_GENERATION than before."
    )
