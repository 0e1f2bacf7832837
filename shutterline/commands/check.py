"""`shutterline check`: what is served against what Cassandra's rows say."""

import asyncio
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from rich.text import Text

from shutterline.check.report import FEED_KINDS, CheckReport, FindingKind
from shutterline.check.run import check_users
from shutterline.client.feed import ApiRefused
from shutterline.failures import CommandFailed, load_settings, plain_failures, require
from shutterline.logs import log_to_stderr
from shutterline.terminal import styled, terminal
from shutterline.tokens import tokens_for
from streams.jobs.audit.job import sampled_users
from streams.settings import LogLevel
from streams.stores.connect import connect

WAITING_SLACK_S = 300  # For the pipeline itself, after the longest waits that the settings allow.


@plain_failures()
def check(
    users: Annotated[int, typer.Option(min=1, max=100_000, help="How many to sample.")] = 50,
    seed: Annotated[int, typer.Option(help="The same seed samples the same users.")] = 1,
    depth: Annotated[int, typer.Option(min=1, max=100_000, help="How many photos of each feed.")] = 600,
) -> None:
    """Fails if anything served differs from what is stored, or if there is nobody to check."""
    console = terminal()
    try:
        report = asyncio.run(_check(users, seed, depth, console))
    except ApiRefused as error:
        raise CommandFailed(str(error)) from error
    show(report, console)
    if report.difference:
        raise CommandFailed(
            f"{report.wrong_users} of {report.users} users differ. `shutterline inspect` shows what is "
            "stored; `shutterline rebuild` rebuilds timelines."
        )


async def _check(users: int, seed: int, depth: int, console: Console) -> CheckReport:
    settings = load_settings()
    log_to_stderr("check", LogLevel.WARNING)
    await require(cassandra=settings.cassandra, redis=settings.redis, api=settings.api)
    async with connect(settings, timeout_ms=settings.worker_store_timeout_ms) as stores:
        parts = sampled_users(stores.user_scan, users, seed, part_max=users)
        sample = sorted({user async for some in parts for user in some})
        if not sample:
            raise CommandFailed("Nobody follows and nobody posts yet: load edges or run the demo first.")
        with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
            task = bar.add_task("checking", total=len(sample))
            return await check_users(
                settings,
                stores,
                sample,
                token_of=tokens_for(settings),
                waiting_s_max=settings.upload_life_s + settings.original_wait_s_max + WAITING_SLACK_S,
                depth=depth,
                progress=lambda done: bar.advance(task, done),
            )


def show(report: CheckReport, console: Console) -> None:
    """The table, the differences (some of them, if there are many), and the verdict."""
    table = Table("compared", "how much", "differences", box=None, header_style="bold")
    in_feeds = sum(report.by_kind.get(kind, 0) for kind in FEED_KINDS)
    in_edges = report.by_kind.get(FindingKind.EDGES, 0)
    waiting = report.by_kind.get(FindingKind.WAITING, 0)
    table.add_row("photos in feeds", f"{report.photos:,}", _coloured(in_feeds))
    table.add_row(
        "counts", f"{report.counts:,}", _coloured(report.difference - in_feeds - in_edges - waiting)
    )
    table.add_row("follow edges", f"{report.edges:,}", _coloured(in_edges))
    table.add_row("photos in processing", f"{report.processing:,}", _coloured(waiting))
    console.print(table)
    for kind, count in report.by_kind.items():
        console.print(styled((f"{kind}: {count}", "red")))
    for finding in report.examples:
        console.print(f"  {finding}")
    again = f", {report.rechecked} looked at again" if report.rechecked else ""
    colour = "red" if report.difference else "green"
    console.print(styled((f"difference {report.difference}", colour), f" over {report.users} users{again}"))


def _coloured(count: int) -> Text:
    return styled((str(count), "red")) if count else styled("0")
