"""Stores that fail when a test wants them to, and that can be stopped between any two steps."""

from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterator
from dataclasses import dataclass, field, fields
from functools import partial
from inspect import isasyncgenfunction
from itertools import count
from types import coroutine
from typing import Any

from streams.errors import StoreUnavailable
from streams.ports.groups import Stores


@dataclass(frozen=True, slots=True)
class Moment:
    """The moment just before call `number`, or just after it if `done`.

    `store` is the name of a field of `Stores`, or the name given to `FlakyStores.around`.
    """

    number: int
    store: str
    operation: str
    done: bool


@coroutine
def pause() -> Generator[None, None, None]:
    """Suspend the coroutine once; a test that drives it by hand, or asyncio's loop, resumes it."""
    yield


class Killed(BaseException):
    """The process was killed: none of its code runs any more."""


@dataclass(slots=True)
class KillAt:
    """Kills the process before call `number`, or after it if `done`; later calls do not happen."""

    number: int
    done: bool
    killed: bool = field(default=False)

    async def __call__(self, moment: Moment) -> None:
        if self.killed or (moment.number == self.number and moment.done is self.done):
            self.killed = True
            raise Killed


async def _at_once(moment: Moment) -> None:
    pass


@dataclass(slots=True)
class FlakyStores:
    """`stores` wrap `real`, and call `at` before and after every call.

    `at` may wait, or raise `StoreUnavailable` (see `fail`). If it raises after the call, the write
    was carried out, but the caller does not know. `moments` lists all moments so far.
    """

    real: Stores
    at: Callable[[Moment], Awaitable[None]] = _at_once
    moments: list[Moment] = field(default_factory=list, init=False)
    stores: Stores = field(init=False)
    _calls: Iterator[int] = field(default_factory=count, init=False)

    def __post_init__(self) -> None:
        wrapped: dict[str, Any] = {
            item.name: _Flaky(self, item.name, getattr(self.real, item.name)) for item in fields(Stores)
        }
        self.stores = Stores(**wrapped)

    def around(self, name: str, other: Any) -> Any:
        """Wrap an object that is no store, such as an outbox; its calls also call `at`."""
        return _Flaky(self, name, other)

    async def meet(self, moment: Moment) -> None:
        self.moments.append(moment)
        await self.at(moment)

    def next_number(self) -> int:
        return next(self._calls)


@dataclass(frozen=True, slots=True)
class _Flaky:
    """One wrapped store: every call of a method has a moment before it and one after it."""

    flaky: FlakyStores
    name: str
    real: Any

    def __getattr__(self, operation: str) -> Callable[..., Any]:
        method = getattr(self.real, operation)
        if isasyncgenfunction(method):
            return partial(self._each, operation, method)

        async def call(*args: Any, **named: Any) -> Any:
            number = self.flaky.next_number()
            await self.flaky.meet(Moment(number, self.name, operation, done=False))
            answer = await method(*args, **named)
            await self.flaky.meet(Moment(number, self.name, operation, done=True))
            return answer

        return call

    async def _each(self, operation: str, method: Callable[..., AsyncIterator[Any]]) -> AsyncIterator[Any]:
        """Wrap an async generator: its whole iteration counts as one call."""
        number = self.flaky.next_number()
        await self.flaky.meet(Moment(number, self.name, operation, done=False))
        async for item in method():
            yield item
        await self.flaky.meet(Moment(number, self.name, operation, done=True))


def fail(moment: Moment) -> None:
    """Fail as a store that does not respond.

    Raises:
        StoreUnavailable: Always.
    """
    raise StoreUnavailable(moment.store, moment.operation, f"a test said so, {moment}")


def failing_at(*numbers: int, done: bool = False) -> Callable[[Moment], Awaitable[None]]:
    """Return an `at` that fails at the calls of these numbers: before them, or after if `done`."""

    async def at(moment: Moment) -> None:
        if moment.number in numbers and moment.done is done:
            fail(moment)

    return at
