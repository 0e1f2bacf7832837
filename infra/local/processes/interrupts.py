"""Ctrl-C and its like: when they may arrive."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def deferred_interrupts() -> Iterator[None]:
    """Let what is inside finish; a signal that came meanwhile is delivered afterwards.

    Only the main thread is ever interrupted by a signal, so elsewhere there is nothing to do.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    arrived: list[int] = []
    before = {number: signal.getsignal(number) for number in ENDING}

    def note(number: int, _frame: FrameType | None) -> None:
        arrived.append(number)

    for number in ENDING:
        signal.signal(number, note)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for missed in arrived:
            signal.raise_signal(missed)


@contextmanager
def endings_interrupt() -> Iterator[None]:
    """Inside, SIGTERM and a closed terminal do what Ctrl-C does: they raise KeyboardInterrupt.

    What is ignored already stays so: that is what `nohup` is for.
    """

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    heeded = [number for number in ENDING if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, interrupt) for number in heeded}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
