"""`shutterline warm`: refresh the most viewed photos in every CDN edge before they expire there."""

import asyncio
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from shutterline.failures import CommandFailed, load_settings, plain_failures
from shutterline.logs import log_to_stderr
from shutterline.terminal import terminal
from streams.errors import StoreUnavailable
from streams.gathering import gather_bounded
from streams.jobs.warm import most_viewed, views_of
from streams.settings import LogLevel, WarmSettings
from streams.stores.cdn.purging import HttpCdn, cdn


@dataclass(slots=True)
class WarmReport:
    refreshed: int = 0
    gone: int = 0
    failed: int = 0
    last_failure: str = ""


@plain_failures()
def warm() -> None:
    """Fetch the most viewed objects again, through the shield into every CDN edge.

    Fails if nothing was viewed, no CDN edges are named, or some objects could not be fetched.
    """
    settings, console = load_settings(), terminal()
    log_to_stderr("warm", LogLevel.WARNING)
    if not settings.edges:
        raise CommandFailed(
            "SHUTTERLINE_EDGES is empty: it names the status addresses of the shield and the CDN edges."
        )
    views = _views(settings)
    if not views:
        raise CommandFailed(
            f"No views in the logs in {settings.edge_views or 'no folder'}: SHUTTERLINE_EDGE_VIEWS names "
            "the folders of the CDN edges. Has anybody viewed a photo yet?"
        )
    chosen = most_viewed(views, settings.warm_share)
    outcome = asyncio.run(_refresh(settings, chosen, console))
    console.print(
        f"{outcome.refreshed:,} of {len(views):,} viewed objects are fresh in every CDN edge; "
        f"{outcome.gone:,} are gone from the bucket"
    )
    if outcome.failed:
        raise CommandFailed(f"{outcome.failed:,} could not be fetched; the last: {outcome.last_failure}")


def _views(settings: WarmSettings) -> Counter[str]:
    folders = [Path(folder) for folder in settings.edge_views.split(",") if folder]
    return views_of(line for folder in folders for line in _lines(folder))


def _lines(folder: Path) -> Iterator[str]:
    """The lines of the folder's view logs, also of those that were rotated."""
    for file in sorted(folder.glob("views.log*")):
        with file.open(errors="replace") as lines:
            yield from lines


async def _refresh(settings: WarmSettings, paths: Sequence[str], console: Console) -> WarmReport:
    outcome = WarmReport()
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        shown = progress.add_task("warming", total=len(paths))
        async with cdn(settings) as edges:

            async def refresh(path: str) -> None:
                await _refresh_one(edges, path, outcome)
                progress.advance(shown)

            await gather_bounded(paths, refresh, at_once=settings.warm_in_flight_max)
    return outcome


async def _refresh_one(edges: HttpCdn, path: str, outcome: WarmReport) -> None:
    try:
        if await edges.refresh(path):
            outcome.refreshed += 1
        else:
            outcome.gone += 1
    except StoreUnavailable as error:
        outcome.failed += 1
        outcome.last_failure = str(error)
