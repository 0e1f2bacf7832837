"""`shutterline resume`: let a consumer group continue that stopped at its dead-letter limit."""

import asyncio
from typing import Annotated

import typer

from shutterline.failures import CommandFailed, load_settings, plain_failures, require
from shutterline.terminal import terminal
from streams.stores.connect import connect


@plain_failures()
def resume(group: Annotated[str, typer.Argument(help="The consumer group.")]) -> None:
    count = asyncio.run(_resume(group))
    if count == 0:
        raise CommandFailed(f"No partition of the group {group} is stopped; there is nothing to resume.")
    terminal().print(f"{count} partitions of {group} go on within a second")


async def _resume(group: str) -> int:
    """Returns how many partitions were stopped."""
    settings = load_settings()
    await require(cassandra=settings.cassandra)
    async with connect(settings, timeout_ms=settings.worker_store_timeout_ms) as stores:
        return await stores.stopped_partitions.resume(group)
