"""How a process ends on SIGTERM or SIGINT: orderly if it can, and in any case within a bound.

An orderly end commits offsets and finishes requests. It may need a store that does not respond, or an
event loop that is blocked. Then the process ends anyway, which loses no more than `kill -9` does:
events are handled again, and every handler may be repeated.
"""

import asyncio
import faulthandler
import signal
from collections.abc import Callable, Coroutine
from contextlib import suppress
from types import FrameType
from typing import Any

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


def on_stop_signal(stop: Callable[[], object], *, within_s: int) -> None:
    """Call `stop` on the event loop at the first signal; the process ends at most `within_s` later.

    Call it in the main thread, before anything that may block.
    """
    loop = asyncio.get_running_loop()
    received: set[int] = set()

    def receive(number: int, _: FrameType | None) -> None:
        if received:
            return  # A second signal must not postpone the end.
        received.add(number)
        # A thread of faulthandler, which needs neither the event loop nor Python's lock. It writes
        # where every thread is, then exits with status 1.
        faulthandler.dump_traceback_later(within_s, exit=True)
        with suppress(RuntimeError):  # The loop has closed: the process is ending already.
            loop.call_soon_threadsafe(stop)

    for number in STOP_SIGNALS:
        # Not loop.add_signal_handler, whose callback would wait while the loop is blocked.
        signal.signal(number, receive)


async def run_until_signal(work: Coroutine[Any, Any, None], *, within_s: int) -> None:
    """Run `work` until it ends or a signal cancels it. Its clean-up is then the orderly end.

    Raises:
        Exception: What `work` raised.
    """
    working = asyncio.create_task(work, name="process")
    on_stop_signal(working.cancel, within_s=within_s)
    await asyncio.wait({working})
    if not working.cancelled():
        working.result()
