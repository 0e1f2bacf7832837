"""One connection to Redis that many requests share.

What is asked in one turn of the event loop, or while earlier answers are awaited, goes
out in one write, and the answers come back in its order. A command then costs a fifth
of what taking a connection of one's own costs; the more there is to do, the less.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from hiredis import pack_command
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import ConnectionError as Disconnected
from redis.exceptions import RedisError, ResponseError

# A packed command, and who waits for its answer.
_Asked: TypeAlias = tuple[bytes, asyncio.Future[Any]]


class SharedConnection:
    """Commands by way of one connection, which is made when first needed and again when it broke.

    Nothing bounds how many wait but their callers, each of whom has a deadline.
    """

    def __init__(self, make: Callable[[], AbstractConnection], timeout_s: float) -> None:
        self._connection = make()
        self._timeout_s = timeout_s
        self._unsent: list[_Asked] = []
        self._sending: asyncio.Task[None] | None = None

    def ask(self, *command: bytes) -> asyncio.Future[Any]:
        """The answer to one command; whoever no longer waits for it cancels it.

        Raises, when awaited:
            RedisError: The server refused the command, the connection broke, or nothing was answered in time.
        """
        answer = asyncio.get_running_loop().create_future()
        self._unsent.append((_packed(command), answer))
        if self._sending is None:
            self._sending = asyncio.create_task(self._send(), name="shared redis connection")
        return answer

    async def close(self) -> None:
        """Disconnect. Who still waits is told that the connection broke."""
        if self._sending is not None:
            self._sending.cancel()
            await asyncio.gather(self._sending, return_exceptions=True)
        await self._connection.disconnect()

    async def _send(self) -> None:
        """Send what has gathered, until nothing has."""
        try:
            while self._unsent:
                asked, self._unsent = self._unsent, []
                waited_for = [each for each in asked if not each[1].done()]
                if waited_for:
                    await self._exchange(waited_for)
        finally:
            self._sending = None
            _break(self._unsent, "it was closed")

    async def _exchange(self, asked: Sequence[_Asked]) -> None:
        """Send commands and hand out the answers; what goes wrong goes wrong for all that are still waiting.

        A connection with an answer outstanding is of no use to anybody, so it is closed.
        """
        problem = "it was closed"
        is_whole = False
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._ready()
                await self._connection.send_packed_command(
                    b"".join(command for command, _ in asked), check_health=False
                )
                for _, answer in asked:
                    await self._receive(answer)
            is_whole = True
        except TimeoutError:
            problem = f"no answer within {self._timeout_s:g} s"
        except (RedisError, OSError) as error:
            problem = f"{type(error).__name__} {error}"
        finally:
            if not is_whole:
                await self._connection.disconnect(nowait=True)
                _break(asked, problem)

    async def _ready(self) -> None:
        # Between two exchanges there is nothing to read but the end of the connection.
        if self._connection.is_connected and await self._connection.can_read():
            await self._connection.disconnect(nowait=True)
        if not self._connection.is_connected:
            await self._connection.connect()  # type: ignore[no-untyped-call]

    async def _receive(self, answer: asyncio.Future[Any]) -> None:
        try:
            value = await self._connection.read_response()
        except ResponseError as error:
            if not answer.done():
                answer.set_exception(error)
        else:
            if not answer.done():
                answer.set_result(value)


def _packed(command: tuple[bytes, ...]) -> bytes:
    packed: bytes = pack_command(command)  # type: ignore[arg-type]  # Its stub means a tuple of one.
    return packed


def _break(asked: Sequence[_Asked], problem: str) -> None:
    for _, answer in asked:
        if not answer.done():
            answer.set_exception(Disconnected(f"the shared connection broke: {problem}"))
