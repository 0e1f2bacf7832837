"""`shutterline rebuild`: rebuild timelines from Cassandra."""

import asyncio
from collections.abc import Sequence
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import track

from schemas.ids import UserId
from shutterline.arguments import parsed_id
from shutterline.failures import CommandFailed, load_settings, plain_failures, require
from shutterline.logs import log_to_stderr
from shutterline.terminal import terminal
from streams.errors import StoreUnavailable
from streams.ports.timelines import Timelines
from streams.retrying import until_true
from streams.settings import LogLevel
from streams.stores.connect import connect
from streams.timelines.rebuild import Rebuilder, database_rebuilder

REBUILD_S_MAX = 30.0
TRIES = 5
RETRY_S = 0.5


@plain_failures()
def rebuild(
    users: Annotated[
        list[int] | None, typer.Argument(parser=parsed_id, metavar="[USER]...", help="Whose timelines.")
    ] = None,
    everybody: Annotated[
        bool, typer.Option("--all", help="Forget every timeline; each is rebuilt by its owner's next read.")
    ] = False,
) -> None:
    if everybody == bool(users):
        raise CommandFailed("Give either the ids of users or --all.")
    if everybody:
        forget_all(terminal())
    else:
        rebuild_users([UserId(user) for user in users or []], terminal())


def rebuild_users(users: Sequence[UserId], console: Console) -> None:
    """Forget these timelines and rebuild them now.

    Raises:
        CommandFailed: Some could not be rebuilt; the next read rebuilds them.
    """
    failed = asyncio.run(_rebuild_users(users, console))
    if failed:
        raise CommandFailed(
            f"Not rebuilt now: {', '.join(map(str, failed))}. The next read of each rebuilds it."
        )
    console.print(f"{len(users)} timelines rebuilt from Cassandra")


def forget_all(console: Console) -> None:
    """Forget every timeline; each is rebuilt by its owner's next read."""
    count = asyncio.run(_forget_all())
    console.print(f"{count:,} timelines forgotten; each is rebuilt when its owner reads next")


async def _forget_all() -> int:
    settings = load_settings()
    await require(cassandra=settings.cassandra, redis=settings.redis)
    async with connect(settings, timeout_ms=settings.worker_store_timeout_ms) as stores:
        return await stores.timelines.forget_all()


async def _rebuild_users(users: Sequence[UserId], console: Console) -> list[UserId]:
    """Returns those that could not be rebuilt."""
    settings = load_settings()
    log_to_stderr("rebuild", LogLevel.WARNING)
    await require(cassandra=settings.cassandra, redis=settings.redis)
    async with connect(settings, timeout_ms=settings.worker_store_timeout_ms) as stores:
        rebuilder = database_rebuilder(stores, stores.outgoing_edges, settings)
        shown = track(users, "rebuilding", console=console, transient=True, disable=not console.is_terminal)
        try:
            return [user for user in shown if not await _rebuild(stores.timelines, rebuilder, user)]
        finally:
            await rebuilder.close()


async def _rebuild(timelines: Timelines, rebuilder: Rebuilder, owner: UserId) -> bool:
    """Whether the timeline was rebuilt within `TRIES` tries."""

    async def rebuilt() -> bool:
        await timelines.forget(owner)
        # The result is None if a reader rebuilds it at the same moment, or if the rebuilds'
        # budget is spent; then try again.
        return await rebuilder.rebuild(owner, wait_s=REBUILD_S_MAX) is not None

    retrying = until_true(
        [RETRY_S] * (TRIES - 1), is_retryable=lambda error: isinstance(error, StoreUnavailable)
    )
    try:
        return await retrying(rebuilt)
    except StoreUnavailable:
        return False
