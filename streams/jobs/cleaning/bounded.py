"""Do the same for many, a few at a time."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


async def for_each(items: Iterable[T], handle: Callable[[T], Awaitable[R]], *, at_once: int) -> list[R]:
    """The answers, in order. One that fails stops none of the others; its error is raised in the end."""
    slots = asyncio.Semaphore(at_once)

    async def one(item: T) -> R:
        async with slots:
            return await handle(item)

    answers = await asyncio.gather(*(one(item) for item in items), return_exceptions=True)
    done = []
    for answer in answers:
        if isinstance(answer, BaseException):
            raise answer
        done.append(answer)
    return done
