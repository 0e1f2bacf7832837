"""`shutterline load`: follow edges from a file, through Kafka."""

import asyncio
from pathlib import Path
from time import monotonic

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from shutterline.failures import CommandFailed, load_settings, require
from streams.kafka.producing.load import BadEdge, count_lines, load_edges


def load(path: Path, console: Console) -> None:
    """Publish the file's edges; returns when every one is acknowledged by Kafka.

    Raises:
        CommandFailed: A line is no edge.
    """
    settings = load_settings()
    asyncio.run(require(settings, "kafka"))
    began_s = monotonic()
    with _bar(console) as bar:
        try:
            task = bar.add_task("", total=count_lines(path), rate=0.0)
            count = load_edges(path, settings, lambda edges: _advance(bar, task, edges))
        except BadEdge as error:
            raise CommandFailed(
                f"{error}. The edges before it are published; correct the file and load it again: "
                "what is there already stays as it is."
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
