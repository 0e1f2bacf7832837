"""Run the same function for many items, a bounded number at a time; or several functions at once."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from typing import Any, TypeVar

T = TypeVar("T")
R = TypeVar("R")


async def gather_bounded(
    items: Iterable[T], run: Callable[[T], Awaitable[R]], *, at_once: int, finish_all: bool = False
) -> list[R]:
    """Return the results in the order of `items`; at most `at_once` calls of `run` are under way.

    If a call fails, its error is raised. Before that, the other calls are cancelled; with
    `finish_all` they are run to their end instead. No call is under way when this returns, raises
    or is cancelled.
    """
    slots = asyncio.Semaphore(at_once)

    async def run_one(item: T) -> R:
        async with slots:
            return await run(item)

    tasks = [asyncio.create_task(run_one(item)) for item in items]
    try:
        if finish_all:
            await asyncio.gather(*tasks, return_exceptions=True)
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def run_together(*loops: Callable[[], Coroutine[Any, Any, object]]) -> None:
    """Run all of them; the first error of one cancels the others, and is raised as it is, without a group."""
    try:
        async with asyncio.TaskGroup() as tasks:
            for loop in loops:
                tasks.create_task(loop())
    except BaseExceptionGroup as group:
        raise group.exceptions[0] from None
