"""`shutterline warm-timelines`: rebuild missing timelines, those of the latest readers first."""

import asyncio
import time
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from shutterline.failures import CommandFailed, load_settings, plain_failures, require
from shutterline.logs import log_to_stderr
from shutterline.terminal import terminal
from streams.jobs.warm_timelines import (
    WarmedTimelines,
    hours_of,
    latest_readers,
    warm_timelines,
    warming_rebuilder,
)
from streams.settings import LogLevel
from streams.stores.connect import connect

READERS_MAX = 1_000_000  # 100 MB, as each is remembered.


@plain_failures()
def warm(
    limit: Annotated[
        int, typer.Option(min=1, max=READERS_MAX, help="Of so many readers, the latest first.")
    ] = READERS_MAX,
) -> None:
    console, warmed = terminal(), WarmedTimelines()
    took_s = asyncio.run(_warm(limit, warmed, console))
    console.print(
        f"{warmed.rebuilt:,} timelines rebuilt with {warmed.entries:,} entries in {took_s:.1f} s: "
        f"{warmed.rebuilt / took_s:,.0f} timelines and {warmed.entries / took_s:,.0f} entries a second; "
        f"{warmed.existed:,} of {warmed.readers:,} existed",
        soft_wrap=True,
    )
    if warmed.missing:
        raise CommandFailed(
            f"{warmed.missing:,} could not be rebuilt now; each is when its owner reads next."
        )


async def _warm(limit: int, warmed: WarmedTimelines, console: Console) -> float:
    """Returns how many seconds it took, without those until the readers were known."""
    settings = load_settings()
    log_to_stderr("warm-timelines", LogLevel.WARNING)
    await require(cassandra=settings.cassandra, redis=settings.redis)
    async with connect(settings, timeout_ms=settings.worker_store_timeout_ms) as stores:
        rebuilder = warming_rebuilder(
            settings, settings, stores, warmed.count, in_flight_max=settings.warm_timelines_in_flight_max
        )
        hours = hours_of(time.time(), settings.timeline_ttl_s)
        readers = await latest_readers(stores.active_readers, hours, limit)
        with _bar(console) as bar:
            task = bar.add_task("", total=len(readers), rate=0.0)
            began_s = time.monotonic()

            def progressed(done: int) -> None:
                bar.update(task, completed=done, rate=warmed.entries / (time.monotonic() - began_s))

            try:
                await warm_timelines(stores.timelines, rebuilder, readers, warmed, progressed=progressed)
            finally:
                await rebuilder.close()
            return time.monotonic() - began_s


def _bar(console: Console) -> Progress:
    return Progress(
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("timelines, {task.fields[rate]:,.0f} entries/s"),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
