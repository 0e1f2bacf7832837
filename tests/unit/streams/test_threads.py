"""`in_thread` returns what the call returns, raises what it raises, and can be left alone."""

import asyncio
import threading

import pytest

from streams.threads import in_thread


async def test_the_result_and_the_error_are_the_calls() -> None:
    """The call runs outside of the loop's thread."""

    def fails(name: str) -> None:
        raise KeyError(name)

    assert await in_thread(threading.get_ident) != threading.get_ident()
    with pytest.raises(KeyError, match="a name"):
        await in_thread(fails, name="a name")


async def test_a_cancelled_caller_does_not_wait() -> None:
    """The thread goes on; its late result disturbs nobody."""
    began, go = threading.Event(), threading.Event()

    def block() -> None:
        began.set()
        go.wait()

    waiting = asyncio.create_task(in_thread(block))
    await in_thread(began.wait)
    waiting.cancel()
    await asyncio.wait({waiting})
    go.set()

    assert waiting.cancelled()
