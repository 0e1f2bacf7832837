"""`shutterline topics`: create and verify the topics before a process starts; let one grow later."""

import asyncio
from typing import Annotated

import typer

from shutterline.failures import CommandFailed, load_settings, plain_failures, require
from shutterline.terminal import terminal
from topics.admin import CannotGrow, add_partitions, ensure_topics
from topics.catalogue import OUTSIDE
from topics.sizes import SIZES

# At module level because its decorators are how typer learns the commands; it holds no state.
app = typer.Typer(add_completion=False, epilog="Example: shutterline topics")


@app.callback(invoke_without_command=True)
@plain_failures()
def topics(context: typer.Context) -> None:
    """Create the topics that are missing, and verify those that exist.

    A topic that exists with other properties is a failure: nothing changes it silently.
    """
    if context.invoked_subcommand is not None:
        return
    settings = load_settings()
    asyncio.run(require(kafka=settings.kafka))
    report = ensure_topics(
        settings.kafka,
        settings.namespace,
        SIZES[settings.sizes],
        client_config=settings.kafka_security,
        replication_factor=settings.kafka_replicas,
    )
    terminal().print(f"{len(report.created)} topics created, {len(report.verified)} verified")


@app.command("grow", epilog="Example: shutterline topics grow likes 96 --execute")
@plain_failures(CannotGrow)
def grow(
    topic: Annotated[str, typer.Argument(help="uploads, follows or likes.")],
    partitions: Annotated[int, typer.Argument(min=1, help="How many it will have in all; never fewer.")],
    execute: Annotated[bool, typer.Option("--execute", help="Do it; otherwise only say it.")] = False,
) -> None:
    """Add partitions to a topic that upstream apps write. Nothing has to stop for it."""
    growing = {outside.name: outside for outside in OUTSIDE}.get(topic)
    if growing is None:
        raise CommandFailed(
            f"only {', '.join(each.name for each in OUTSIDE)} grow by adding partitions, not {topic}: "
            "docs/operations.md says how the others grow."
        )
    settings, console = load_settings(), terminal()
    asyncio.run(require(kafka=settings.kafka))
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
