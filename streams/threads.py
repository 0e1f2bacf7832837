"""Run a blocking call of a driver in a thread that nobody has to wait for."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from threading import Thread
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


async def in_thread(run: Callable[P, T], *args: P.args, **named: P.kwargs) -> T:
    """Return the result of `run`, like `asyncio.to_thread`, but in a thread of its own.

    If the caller is cancelled, it stops waiting at once, and `run` goes on unobserved until it
    returns. The end of the process does not wait for it either: the executor of `asyncio.to_thread`
    would keep a process alive until a driver gives up connecting.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def resolve(result: T | None, error: BaseException | None) -> None:
        if future.done():
            return  # The caller was cancelled.
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(result)  # type: ignore[arg-type]  # Without an error it is a T.

    def work() -> None:
        result, failure = None, None
        try:
            result = run(*args, **named)
        except BaseException as error:  # noqa: BLE001  # It is raised again, where it is awaited.
            failure = error
        with suppress(RuntimeError):  # The loop has closed, so nobody waits for the result.
            loop.call_soon_threadsafe(resolve, result, failure)

    Thread(target=work, name=f"in_thread {getattr(run, '__name__', run)}", daemon=True).start()
    return await future
