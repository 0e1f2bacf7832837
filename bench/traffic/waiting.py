"""Wait for something to become true on real servers, with a deadline and never for a fixed time."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from inspect import isawaitable

DEADLINE_S = 30.0
LOOK_S = 0.05


async def eventually(
    claim: str, check: Callable[[], Awaitable[object] | object], deadline_s: float = DEADLINE_S
) -> float:
    """Call `check` until it returns a true value; returns how many seconds that took.

    A coroutine function asks a server and is called every `LOOK_S`; a plain function looks at this
    process only and is called in every turn of the event loop.

    Raises:
        TimeoutError: `check` returned no true value within `deadline_s`; the message has `claim`.
    """
    began_s = time.monotonic()
    while True:
        result = check()
        pause_s = LOOK_S if isawaitable(result) else 0
        if await result if isawaitable(result) else result:
            return time.monotonic() - began_s
        _give_up_late(claim, began_s, deadline_s)
        await asyncio.sleep(pause_s)


def wait_until(claim: str, check: Callable[[], object], deadline_s: float = DEADLINE_S) -> float:
    """`eventually` for code without an event loop."""
    began_s = time.monotonic()
    while not check():
        _give_up_late(claim, began_s, deadline_s)
        time.sleep(LOOK_S)
    return time.monotonic() - began_s


def _give_up_late(claim: str, began_s: float, deadline_s: float) -> None:
    if time.monotonic() - began_s > deadline_s:
        raise TimeoutError(f"not true within {deadline_s:g} s: {claim}")
