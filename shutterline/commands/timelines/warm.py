"""`shutterline warm-timelines`: rebuild missing timelines, those of the latest readers first."""

import asyncio
import time
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from api.reading.cached_reads import CachedReads
from api.reading.reader_log import HOUR_S
from api.reading.rebuild_reads import followees_of, newest_photos_of
from shutterline.failures import CommandFailed, load_settings, plain_failures, require
from shutterline.terminal import terminal
from streams.fairness import Shares
from streams.jobs.warm_timelines import REBUILD_S_MAX, WarmedTimelines, latest_readers, warm_timelines
from streams.ports.groups import ApiStores
from streams.settings import CacheSettings
from streams.stores.cache.database_reads import DatabaseReads
from streams.stores.cache.large_reads import LargeReads
from streams.stores.cache.read_through import ReadThrough
from streams.stores.connect import connect
from streams.timelines.rebuild import Rebuilder

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
    await require(cassandra=settings.cassandra, redis=settings.redis)
    hour = int(time.time()) // HOUR_S
    async with connect(settings, timeout_ms=settings.worker_store_timeout_ms) as stores:
        reads = _reads(settings, stores)
        rebuilder = Rebuilder(
            stores=stores,
            followees_of=followees_of(reads),
            timeline_ids=settings.timeline_ids,
            in_flight_max=settings.warm_timelines_in_flight_max,
            count=warmed.count,
            known_of=newest_photos_of(reads, settings.pull_list_ids_max),
        )
        # Who read last before that has no timeline to lose.
        hours = range(hour, hour - settings.timeline_ttl_s // HOUR_S - 1, -1)
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


def _reads(settings: CacheSettings, stores: ApiStores) -> CachedReads:
    everything = Shares(user=1.0, address=1.0)  # Nobody else reads in this process.
    database = DatabaseReads(settings.database_reads_in_flight_max, REBUILD_S_MAX, everything)
    return CachedReads.of(
        ReadThrough(stores.cache, database, lambda *_: None, LargeReads(REBUILD_S_MAX)),
        settings,
        outgoing_edges=stores.outgoing_edges,
        photos=stores.photos,
        author_photos=stores.author_photos,
        counted_sets=stores.counted_sets,
    )
