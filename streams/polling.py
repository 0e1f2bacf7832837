"""Call a function again and again, through the outages of its store."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from streams.errors import StoreUnavailable


async def poll(
    refresh: Callable[[], Awaitable[object]],
    every_s: float,
    *,
    log: logging.Logger,
    failure: str,
    level: int = logging.DEBUG,
) -> None:
    """Call `refresh` every `every_s` seconds; runs until cancelled.

    If it raises `StoreUnavailable`, the sentence `failure` is logged with the error, and the next call
    tries again.
    """
    while True:
        try:
            await refresh()
        except StoreUnavailable as error:
            log.log(level, "%s: %s", failure, error)
        await asyncio.sleep(every_s)
