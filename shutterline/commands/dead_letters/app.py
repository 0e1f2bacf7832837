"""`shutterline dead-letters`: look at records that could not be handled, replay them, or discard them."""

import asyncio
from contextlib import aclosing
from getpass import getuser
from typing import Annotated

import typer

from shutterline.commands.dead_letters.opened import opened
from shutterline.commands.dead_letters.options import (
    Key,
    Reasons,
    Since,
    Topics,
    Until,
    chosen,
    person,
    topic_named,
    whole_number,
)
from shutterline.commands.dead_letters.shown import bar, show_counts, show_letter, show_listing, write_listing
from shutterline.failures import INTERRUPTED, CommandFailed, load_settings, plain_failures
from shutterline.logs import log_to_stderr
from shutterline.terminal import terminal
from streams.core.dead_letters import DeadLetter
from streams.jobs.dead_letters.choice import Choice
from streams.jobs.dead_letters.listing import Listing
from streams.jobs.dead_letters.run import Action, Run
from streams.jobs.dead_letters.scan import HandledBlocks, Scan
from streams.ports.coordination import Outcome
from streams.settings import LogLevel
from streams.stopping import on_stop_signal
from topics.catalogue import Topic

NEWEST_MAX = 1_000
PARTITION_MAX = 2**31 - 1
OFFSET_MAX = 2**63 - 1

# At module level because its decorators are how typer learns the commands; it holds no state.
app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="List, show, replay or discard records that could not be handled.",
)

Execute = Annotated[bool, typer.Option("--execute", help="Do it; otherwise only say it.")]
By = Annotated[
    str | None, typer.Option(metavar="NAME", help="Who does it; by default the user of this machine.")
]


@app.command(
    "list", epilog="Example: shutterline dead-letters list --topic likes --since 2026-01-31T12:00:00Z"
)
@plain_failures()
def list_letters(
    topic: Topics = None,
    reason: Reasons = None,
    since: Since = None,
    until: Until = None,
    key: Key = None,
    newest: Annotated[str, typer.Option(metavar="N", help="How many of the newest are shown.")] = "10",
    as_json: Annotated[bool, typer.Option("--json", help="JSON on standard output.")] = False,
) -> None:
    """How many there are by topic and reason, and the newest that wait."""
    listing = Listing(whole_number("--newest", newest, NEWEST_MAX))
    asyncio.run(_list(chosen(topic, reason, since, until, key), listing))
    if as_json:
        write_listing(listing)
    else:
        show_listing(listing, terminal())


async def _list(meant: Choice, listing: Listing) -> None:
    settings = load_settings()
    async with opened(settings, settings, settings.worker_store_timeout_ms) as kafka:
        scan = await Scan.begin(kafka.log, kafka.handled, meant.topics)
        with bar(terminal(stderr=True), "dead letters") as shown:
            task = shown.add_task("", total=scan.offsets)
            async with aclosing(scan.read(meant.selection)) as batches:
                async for batch in batches:
                    for letter, outcome in batch.letters:
                        listing.add(letter, outcome)
                    shown.advance(task, batch.offsets)


@app.command("show", epilog="Example: shutterline dead-letters show likes 0 42")
@plain_failures()
def show(
    topic: Annotated[str, typer.Argument(help="uploads, follows or likes.")],
    partition: Annotated[str, typer.Argument(help="Of the dead-letter topic.")],
    offset: Annotated[str, typer.Argument(help="In the dead-letter topic.")],
) -> None:
    """One dead letter with its error, headers and value."""
    letter, outcome = asyncio.run(
        _show(
            topic_named(topic),
            whole_number("PARTITION", partition, PARTITION_MAX),
            whole_number("OFFSET", offset, OFFSET_MAX),
        )
    )
    show_letter(letter, outcome, terminal())


async def _show(topic: Topic, partition: int, offset: int) -> tuple[DeadLetter, Outcome | None]:
    settings = load_settings()
    async with opened(settings, settings, settings.worker_store_timeout_ms) as kafka:
        held = await kafka.log.offsets(topic)
        if partition not in held:
            raise CommandFailed(
                f"PARTITION is {partition}, but the dead letters of {topic.name} have {len(held)}, from 0 on."
            )
        if offset not in held[partition]:
            raise CommandFailed(f"OFFSET is {offset}, but Kafka holds {_span(held[partition])}.")
        async with aclosing(kafka.log.read(topic, partition, range(offset, offset + 1))) as batches:
            async for letters in batches:
                return letters[0], await HandledBlocks(kafka.handled).outcome(letters[0])
    raise CommandFailed(f"There is no dead letter at the offset {offset}.")


def _span(offsets: range) -> str:
    return f"the offsets {offsets.start} to {offsets.stop - 1}" if offsets else "no dead letters there"


@app.command("replay", epilog="Example: shutterline dead-letters replay --reason from_the_future --execute")
@plain_failures()
def replay(
    topic: Topics = None,
    reason: Reasons = None,
    since: Since = None,
    until: Until = None,
    key: Key = None,
    by: By = None,
    execute: Execute = False,
) -> None:
    """Publish records again, after their cause was removed. What was handled before is left out.

    A Ctrl-C ends it in order, and the same command goes on where it stopped.
    """
    _run(Action.REPLAY, chosen(topic, reason, since, until, key), by, execute)


@app.command("discard", epilog="Example: shutterline dead-letters discard --reason not_json --execute")
@plain_failures()
def discard(
    topic: Topics = None,
    reason: Reasons = None,
    since: Since = None,
    until: Until = None,
    key: Key = None,
    by: By = None,
    execute: Execute = False,
) -> None:
    """Mark records as done, without publishing them. They stay in Kafka until they expire."""
    _run(Action.DISCARD, chosen(topic, reason, since, until, key), by, execute)


def _run(action: Action, meant: Choice, by: str | None, execute: bool) -> None:
    run = asyncio.run(_handle(action, meant, person(getuser() if by is None else by), execute))
    if run.is_stopped:
        terminal().print("Stopped. Repeat the command, and it goes on with the others.")
        raise typer.Exit(INTERRUPTED)


async def _handle(action: Action, meant: Choice, by: str, execute: bool) -> Run:
    settings, console, done = load_settings(), terminal(), action.outcome.value
    log_to_stderr("dead-letters", LogLevel.WARNING)
    async with opened(settings, settings, settings.worker_store_timeout_ms) as kafka:
        scan = await Scan.begin(kafka.log, kafka.handled, meant.topics)
        with bar(console, "dead letters") as shown:
            task = shown.add_task("", total=scan.offsets)
            run = Run(
                action=action,
                by=by,
                selected=meant.said,
                scan=scan,
                selection=meant.selection,
                settings=settings,
                handled=kafka.handled,
                replays=kafka.replays,
                operations=kafka.operations,
                progressed=lambda offsets: shown.advance(task, offsets),
            )
            if not execute:
                await run.rehearse()
            else:
                on_stop_signal(run.stop, within_s=settings.stop_s_max)
                try:
                    await run.execute()
                finally:
                    shown.stop()
                    show_counts(run.counts, done, console)
    if not execute:
        show_counts(run.counts, f"would be {done}", console)
        console.print("Nothing was done. Repeat with --execute.")
    else:
        console.print(f"The topic operations has this as run {run.id}, by {by}.", soft_wrap=True)
    return run
