"""`shutterline clean-media`: one whole pass of the cleaning job, by hand."""

import asyncio
from time import time

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from shutterline.failures import CommandFailed, load_settings, plain_failures, require
from shutterline.logs import log_to_stderr
from shutterline.terminal import terminal
from streams.jobs.cleaning.job import CleaningJob
from streams.jobs.cleaning.report import CleaningReport
from streams.kafka.producing.outbox import KafkaOutbox
from streams.kafka.producing.producer import Producer
from streams.kafka.producing.publisher import KafkaPublisher
from streams.settings import LogLevel
from streams.stores.connect import connect
from streams.stores.s3.bucket import S3Refused

SHOW_S = 0.2


@plain_failures(S3Refused)
def clean_media() -> None:
    """Fails if so much looked lost that the job left it unchanged."""
    console = terminal()
    report = asyncio.run(_clean(console))
    show(report, console)
    if report.held:
        raise CommandFailed(
            f"Nothing of this was touched: {'; '.join(report.held)}. Do SHUTTERLINE_CASSANDRA, _S3_BUCKET "
            "and _NAMESPACE belong together, and was one of them restored?"
        )


async def _clean(console: Console) -> CleaningReport:
    settings = load_settings()
    log_to_stderr("clean", LogLevel.WARNING)
    await require(cassandra=settings.cassandra, kafka=settings.kafka, redis=settings.redis, s3=settings.s3)
    timeout_ms, report = settings.worker_store_timeout_ms, CleaningReport()
    async with (
        connect(settings, timeout_ms=timeout_ms) as stores,
        Producer(settings, timeout_ms=timeout_ms) as producer,
    ):
        publisher = KafkaPublisher(producer, namespace=settings.namespace, source=settings.event_source)
        outbox = KafkaOutbox(producer, settings.namespace, await producer.compare_sizes())
        job = CleaningJob(settings, settings, stores, outbox, publisher)
        cleaning = asyncio.create_task(job.run_once(int(time() * 1_000), whole=True, report=report))
        # The total is unknown, so there is a clock instead of a bar.
        columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
        with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
            shown = bar.add_task("uploads", total=None)
            while not cleaning.done():
                await asyncio.wait({cleaning}, timeout=SHOW_S)
                bar.update(shown, description=f"{report.objects:,} objects, {report.photos:,} photos")
        return await cleaning


def show(report: CleaningReport, console: Console) -> None:
    """Print the table, examples of what was left, and how much was looked at."""
    table = Table(box=None, header_style="bold")
    table.add_column("found")
    for name in ("how many", "removed or mended", "left for now", "bytes removed"):
        table.add_column(name, justify="right")
    for kind, tally in report.tallies.items():
        if tally.found:
            numbers = (tally.found, tally.settled, tally.found - tally.settled, tally.removed_bytes)
            table.add_row(kind.replace("_", " "), *(f"{number:,}" for number in numbers))
    if table.row_count:
        console.print(table)
    for example in report.examples:
        console.print(f"  left: {example}")
    console.print(
        f"looked at {report.objects:,} objects and {report.photos:,} photos; "
        f"{sum(tally.found for tally in report.tallies.values()):,} were not as they should be",
    )
