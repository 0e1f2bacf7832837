"""`shutterline audit`: compare what is stored twice, and repair it."""

import asyncio
from collections import Counter
from random import randrange
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from shutterline.failures import CommandFailed, load_settings, plain_failures, require
from shutterline.logs import log_to_stderr
from shutterline.terminal import styled, terminal
from streams.jobs.audit.audit import Audited, make_auditor
from streams.jobs.audit.job import sampled_users
from streams.jobs.audit.repairs import Repairs
from streams.kafka.offsets.applied import Applied, stages_of
from streams.kafka.offsets.offsets import Offsets
from streams.kafka.producing.outbox import KafkaOutbox
from streams.kafka.producing.producer import Producer
from streams.settings import LogLevel
from streams.stores.connect import connect
from streams.timelines.rebuild import database_rebuilder
from topics.catalogue import OUTSIDE

USERS_A_PART = 100
EXAMPLES_MAX = 20


@plain_failures()
def audit(
    users: Annotated[int, typer.Option(min=1, max=10_000_000, help="How many to look at.")] = 10_000,
    repair: Annotated[bool, typer.Option("--repair", help="Repair what differs.")] = False,
) -> None:
    """Fails if something differs and is not repaired, or if nobody is stored."""
    console = terminal()
    audited = asyncio.run(_audit(users, repair, console))
    show(audited, console)
    if not audited.users:
        raise CommandFailed("Nobody follows and nobody posts yet: load edges or run the demo first.")
    if not audited.is_judged:
        raise CommandFailed(
            "Workers are behind, so some users were not judged. Wait until `shutterline status` shows no "
            "lag, or raise SHUTTERLINE_AUDIT_WAIT_S_MAX."
        )
    if audited.left:
        raise CommandFailed(
            f"{len(audited.left):,} differences are left."
            if repair
            else f"{len(audited.left):,} differences; `shutterline audit --repair` repairs them."
        )


async def _audit(count: int, repair: bool, console: Console) -> Audited:
    settings = load_settings()
    log_to_stderr("audit", LogLevel.WARNING)
    await require(cassandra=settings.cassandra, kafka=settings.kafka, redis=settings.redis)
    timeout_ms, seed, audited = settings.worker_store_timeout_ms, randrange(2**32), Audited()
    async with (
        connect(settings, timeout_ms=timeout_ms) as stores,
        Producer(settings, timeout_ms=timeout_ms) as producer,
    ):
        sizes = await producer.compare_sizes()
        outbox = KafkaOutbox(producer, settings.namespace, sizes)
        stages = stages_of(settings.namespace, sizes, OUTSIDE)
        applied = Applied(Offsets(settings), stores.timelines, stages, settings.audit_wait_s_max)
        rebuilder = database_rebuilder(stores, stores.outgoing_edges, settings)
        repairs = Repairs(stores, outbox, outbox, rebuilder) if repair else None
        auditor = make_auditor(stores, settings, applied.wait, repairs, seed)
        try:
            with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
                task = bar.add_task("auditing", total=count)
                async for some in sampled_users(stores.user_scan, count, seed, part_max=USERS_A_PART):
                    audited += await auditor.audit(some)
                    bar.update(task, completed=audited.users)
        finally:
            await rebuilder.close()
    return audited


def show(audited: Audited, console: Console) -> None:
    """Print the table, some of what is left, and how much was compared."""
    found, left = (Counter(each.drift for each in some) for some in (audited.found, audited.left))
    table = Table("drift", box=None, header_style="bold")
    for name in ("found", "repaired", "left"):
        table.add_column(name, justify="right")
    for drift, count in found.most_common():
        table.add_row(drift.value, *(f"{number:,}" for number in (count, count - left[drift], left[drift])))
    if table.row_count:
        console.print(table)
    for each in audited.left[:EXAMPLES_MAX]:
        console.print(f"  {each.drift.value}: owner {each.owner}, member {each.member}")
    colour = "red" if audited.left else "green"
    console.print(
        f"{audited.graph:,} comparisons of the graph and {audited.timelines:,} photos in timelines of "
        f"{audited.users:,} users: ",
        styled((f"{len(audited.found):,} differences, {len(audited.left):,} left", colour)),
        soft_wrap=True,
    )
