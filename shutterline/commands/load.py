"""`shutterline load`: follow edges from a file, through Kafka."""

import asyncio
from pathlib import Path
from time import monotonic
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from shutterline.failures import CommandFailed, load_settings, plain_failures, require_kafka
from shutterline.logs import log_to_stderr
from shutterline.terminal import terminal
from streams.kafka.producing.load import BadEdge, count_lines, load_edges
from streams.settings import LogLevel


@plain_failures()
def load(
    file: Annotated[
        Path,
        typer.Argument(
            exists=True, dir_okay=False, readable=True, help="Follower, tab, followee; a .gz is unpacked."
        ),
    ],
) -> None:
    """Returns when Kafka has acknowledged every edge."""
    settings, console = load_settings(), terminal()
    log_to_stderr("load", LogLevel.WARNING)
    asyncio.run(require_kafka(settings))
    began_s = monotonic()
    with _bar(console) as bar:
        try:
            task = bar.add_task("", total=count_lines(file), rate=0.0)
            count = load_edges(file, settings, lambda edges: _advance(bar, task, edges))
        except BadEdge as error:
            raise CommandFailed(
                f"{error}. The edges before it are published; correct the file and load it again: "
                "loading an edge twice changes nothing."
            ) from error
    took_s = monotonic() - began_s
    console.print(f"{count:,} edges published to follows in {took_s:.1f} s, {count / took_s:,.0f} a second.")
    console.print("They show in feeds and counts as soon as the workers have handled them.")


def _bar(console: Console) -> Progress:
    return Progress(
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("edges, {task.fields[rate]:,.0f}/s"),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )


def _advance(bar: Progress, task: TaskID, edges: int) -> None:
    bar.advance(task, edges)
    bar.update(task, rate=bar.tasks[task].speed or 0.0)
