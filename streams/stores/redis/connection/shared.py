"""One connection to Redis that many requests share.

Commands from one iteration of the event loop are sent in one write. Commands that are added while
earlier replies are awaited are sent together in the next write. Replies come in the order of the
commands.

redis-py makes the connection. From then on its transport has a protocol of our own, because each reply
that redis-py reads costs as much as the rest of an exchange.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, cast

from hiredis import ProtocolError, PushNotification, Reader, pack_command
from redis._parsers.base import BaseParser
from redis.exceptions import ConnectionError as Disconnected
from redis.exceptions import RedisError

from streams.stores.redis.connection.idle import Checked

_NOTHING = object()


class _Question:
    """Packed commands, and the future of their replies: a list, if they were asked together."""

    __slots__ = ("answer", "asked_s", "packed", "raises", "replies", "replies_left")

    def __init__(
        self,
        packed: bytes,
        count: int,
        answer: asyncio.Future[Any],
        asked_s: float,
        *,
        together: bool,
        raises: bool,
    ) -> None:
        self.packed = packed
        self.answer = answer
        self.asked_s = asked_s
        self.raises = raises
        self.replies_left = count
        self.replies: list[Any] | None = [] if together else None

    def add(self, reply: Any) -> bool:
        """Take the next reply; returns whether it is the last one."""
        self.replies_left -= 1
        if self.replies is not None:
            self.replies.append(reply)
        if self.replies_left:
            return False
        if not self.answer.done():  # A caller whose deadline has passed has cancelled its future.
            error = next((one for one in self.replies or [reply] if isinstance(one, Exception)), None)
            if error is None or not self.raises:
                self.answer.set_result(reply if self.replies is None else self.replies)
            else:
                self.answer.set_exception(error)
        return True

    def fail(self, problem: str) -> None:
        if not self.answer.done():
            self.answer.set_exception(Disconnected(f"the shared connection broke: {problem}"))


class SharedConnection:
    """Sends commands over one connection, which is opened on demand and reopened after it broke.

    The number of pending commands is bounded only by the callers. A command fails after `timeout_s`.
    """

    def __init__(self, make: Callable[[], Checked], timeout_s: float) -> None:
        self._connection = make()
        self._timeout_s = timeout_s
        self._unsent: list[_Question] = []
        self._sent: deque[_Question] = deque()
        self._sent_s = 0.0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._link: _Link | None = None
        self._next: asyncio.Handle | asyncio.Task[None] | None = None  # Will send, or is connecting.
        self._timer: asyncio.TimerHandle | None = None  # One serves many exchanges.

    def ask(self, *command: bytes) -> asyncio.Future[Any]:
        """Send one command; returns the future of its reply, which the caller may cancel.

        Raises, when awaited:
            RedisError: The server refused the command, the connection broke, or the time was up.
        """
        return self._ask(_packed(command), 1, together=False)

    def ask_together(
        self, commands: Iterable[tuple[bytes, ...]], *, raises: bool = True
    ) -> asyncio.Future[list[Any]]:
        """Like `ask`, for several commands in this order; fails with the first error among the replies.

        With `raises` false, what the server refused is among the replies. Without a command the server is
        not asked, and there are no replies.
        """
        packed = [_packed(command) for command in commands]
        if not packed:
            answer: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()
            answer.set_result([])
            return answer
        return self._ask(b"".join(packed), len(packed), together=True, raises=raises)

    async def close(self) -> None:
        """Disconnect. Pending commands fail with an error that the connection broke."""
        if self._next is not None:
            self._next.cancel()
        if self._timer is not None:
            self._timer.cancel()
        self._fail_unsent("it was closed")
        self._break("it was closed")
        await self._connection.disconnect(nowait=True)

    def _ask(self, packed: bytes, count: int, *, together: bool, raises: bool = True) -> asyncio.Future[Any]:
        # Remembered, because Python 3.11 asks the system for the process's id each time.
        loop = self._loop = self._loop or asyncio.get_running_loop()
        answer = loop.create_future()
        question = _Question(packed, count, answer, loop.time(), together=together, raises=raises)
        self._unsent.append(question)
        if self._timer is None:
            self._timer = loop.call_later(self._timeout_s, self._check_time, loop)
        if self._next is None and not self._sent:
            self._next = loop.call_soon(self._send, loop)
        return answer

    def _send(self, loop: asyncio.AbstractEventLoop) -> None:
        """Send all unsent commands in one write."""
        self._next = None
        self._unsent = [question for question in self._unsent if not question.answer.done()]
        if not self._unsent:
            return
        # No reply is pending. So the server may have closed the connection without being noticed.
        if self._link is None or self._connection.has_ended():
            self._next = loop.create_task(self._connect(loop), name="shared redis connection")
            return
        self._sent.extend(self._unsent)
        self._unsent = []
        self._sent_s = loop.time()
        self._link.transport.write(b"".join([question.packed for question in self._sent]))

    async def _connect(self, loop: asyncio.AbstractEventLoop) -> None:
        self._drop()
        problem = ""
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._connection.disconnect(nowait=True)
                await self._connection.connect()  # type: ignore[no-untyped-call]
        except (RedisError, OSError, TimeoutError) as error:
            problem = f"{type(error).__name__} {error}"
        finally:
            self._next = None
        if problem:
            self._fail_unsent(problem)
        else:
            self._link = _Link(self._connection.transport(), self._received, self._break)
            self._send(loop)

    def _received(self, replies: Iterable[Any]) -> None:
        """Give each reply to its command; once none is missing, send what has gathered meanwhile."""
        for reply in replies:
            if isinstance(reply, Disconnected) or not self._sent:
                # The server is loading its data, or does not speak the protocol.
                self._break(str(reply))
                return
            if self._sent[0].add(reply):
                self._sent.popleft()
        self._send_soon()

    def _send_soon(self) -> None:
        if self._unsent and not self._sent and self._next is None and self._loop is not None:
            # Not at once: who has just got a reply may have the next command.
            self._next = self._loop.call_soon(self._send, self._loop)

    def _check_time(self, loop: asyncio.AbstractEventLoop) -> None:
        """Fail what was asked too long ago; a connection that has not answered for so long is broken."""
        self._timer = None
        late_s = loop.time() - self._timeout_s
        problem = f"no reply within {self._timeout_s:g} s"
        if self._sent and self._sent_s <= late_s:
            self._break(problem)
        waiting = [question for question in (*self._sent, *self._unsent) if not question.answer.done()]
        for question in waiting:
            if question.asked_s <= late_s:
                question.fail(problem)
        begun_s = [question.asked_s for question in waiting if question.asked_s > late_s]
        if self._sent:
            begun_s.append(self._sent_s)
        if begun_s:
            self._timer = loop.call_later(min(begun_s) - late_s, self._check_time, loop)

    def _break(self, problem: str) -> None:
        """Fail the commands that were sent. A connection with an outstanding reply cannot be used again."""
        self._drop()
        sent, self._sent = self._sent, deque()
        for question in sent:
            question.fail(problem)
        self._send_soon()

    def _fail_unsent(self, problem: str) -> None:
        unsent, self._unsent = self._unsent, []
        for question in unsent:
            question.fail(problem)

    def _drop(self) -> None:
        if self._link is not None:
            self._link.abandon()
            self._link = None


class _Link(asyncio.Protocol):
    """The protocol of a transport over which no reply is pending; tells `received` of all replies at once.

    `lost` is told why, when the connection ends. Neither is called after `abandon`.
    """

    def __init__(
        self,
        transport: asyncio.Transport,
        received: Callable[[Iterable[Any]], None],
        lost: Callable[[str], None],
    ) -> None:
        self.transport = transport
        self._received = received
        self._lost = lost
        self._is_abandoned = False
        self._reader = Reader(
            protocolError=ProtocolError,
            replyError=cast("Callable[[str], Exception]", BaseParser.parse_error),
            notEnoughData=_NOTHING,
        )
        self._before = transport.get_protocol()
        transport.set_protocol(self)

    def abandon(self) -> None:
        self._is_abandoned = True
        self.transport.abort()

    def data_received(self, data: bytes) -> None:
        if self._is_abandoned:
            return
        self._reader.feed(data)
        replies = []
        try:
            while (reply := self._reader.gets()) is not _NOTHING:
                if not isinstance(reply, PushNotification):  # It answers no command.
                    replies.append(reply)
        except ProtocolError as error:
            self._lost(str(error))
        else:
            self._received(replies)

    def connection_lost(self, exc: Exception | None) -> None:
        self._before.connection_lost(exc)  # redis-py may wait for it.
        if not self._is_abandoned:
            self._lost(f"closed by the server {exc or ''}".rstrip())


def _packed(command: tuple[bytes, ...]) -> bytes:
    packed: bytes = pack_command(command)  # type: ignore[arg-type]  # Its stub says a tuple of one element.
    return packed
