"""The shared connection: each command gets its own reply; a failure replaces the connection."""

import asyncio
from collections import deque
from typing import Any

import pytest
from hiredis import pack_command
from redis.exceptions import RedisError, ResponseError

from bench.traffic.waiting import eventually
from streams.stores.redis.shared import SharedConnection

TIMEOUT_S = 0.05


class _Server:
    """A connection to a server that replies with the command; counts writes and connects."""

    def __init__(self) -> None:
        self.is_connected = False
        self.connects = 0
        self.writes: list[bytes] = []
        self.hung = False
        self.ended = False  # The server closed the connection; the client has not noticed.
        self._answers: deque[bytes] = deque()

    async def connect(self) -> None:
        self.is_connected, self.ended = True, False
        self.connects += 1

    async def disconnect(self, nowait: bool = False) -> None:
        self.is_connected = False
        self._answers.clear()

    async def can_read(self) -> bool:
        return self.ended

    async def send_packed_command(self, command: bytes, check_health: bool = True) -> None:
        assert self.is_connected
        self.writes.append(command)
        self._answers.extend(command.split(b"\r\n")[2::3])

    async def read_response(self) -> bytes:
        if self.hung:
            await asyncio.Event().wait()
        await asyncio.sleep(0)
        if self.ended:
            raise ConnectionError("closed by the server")
        answer = self._answers.popleft()
        if answer == b"BAD":
            raise ResponseError("ERR unknown command")
        return answer


def _shared() -> tuple[_Server, SharedConnection]:
    server: Any = _Server()
    return server, SharedConnection(lambda: server, TIMEOUT_S)


async def test_commands_of_one_turn_are_sent_in_one_write() -> None:
    """Each command gets its own reply; a cancelled command changes nothing for the others."""
    server, shared = _shared()
    asked = [shared.ask(b"%d" % number) for number in range(5)]
    asked[1].cancel()
    later = asyncio.create_task(_ask(shared, b"later"))

    answers = await asyncio.gather(*asked, return_exceptions=True)

    assert [answers[0], *answers[2:]] == [b"0", b"2", b"3", b"4"]
    assert await later == b"later"
    assert server.writes[0] == b"".join(pack_command((b"%d" % number,)) for number in (0, 2, 3, 4))
    assert (len(server.writes), server.connects) == (2, 1)


async def test_commands_during_an_exchange_are_sent_after_it() -> None:
    """No command is lost, however sending and receiving interleave."""
    server, shared = _shared()

    async def asker(number: int) -> list[bytes]:
        return [await shared.ask(b"%d.%d" % (number, turn)) for turn in range(20)]

    answers = await asyncio.gather(*(asker(number) for number in range(7)))

    assert answers == [[b"%d.%d" % (number, turn) for turn in range(20)] for number in range(7)]
    assert len(server.writes) <= 70


async def test_a_refused_command_fails_alone() -> None:
    """The other commands of the same write get their replies over the same connection."""
    server, shared = _shared()

    answers = await asyncio.gather(*map(shared.ask, (b"A", b"BAD", b"C")), return_exceptions=True)

    assert [answers[0], answers[2]] == [b"A", b"C"]
    assert isinstance(answers[1], ResponseError)
    assert server.connects == 1


async def test_a_server_that_hangs_fails_all_in_time_and_none_afterwards() -> None:
    """The next command uses a new connection: a late reply must not reach another command."""
    server, shared = _shared()
    server.hung = True

    answers = await asyncio.gather(shared.ask(b"A"), shared.ask(b"B"), return_exceptions=True)
    server.hung = False

    assert [isinstance(answer, RedisError) for answer in answers] == [True, True]
    assert "no reply within 0.05 s" in str(answers[0])
    assert await shared.ask(b"C") == b"C"
    assert server.connects == 2


async def test_a_connection_that_the_server_closed_is_reopened() -> None:
    """If the client notices in time, it reconnects first; a command that was sent already fails."""
    server, shared = _shared()
    await shared.ask(b"A")
    server.ended = True

    assert await shared.ask(b"B") == b"B"

    failing = shared.ask(b"C")
    await eventually("the command is sent", lambda: len(server.writes) == 3)
    server.ended = True
    with pytest.raises(RedisError, match="closed by the server"):
        await failing
    assert await shared.ask(b"D") == b"D"
    assert server.connects == 3


async def test_closing_fails_pending_commands() -> None:
    """No caller waits forever."""
    server, shared = _shared()
    server.hung = True
    waiting = [shared.ask(b"A")]
    await eventually("the command is sent", lambda: server.writes)
    waiting.append(shared.ask(b"B"))

    await shared.close()

    assert all(isinstance(task.exception(), RedisError) for task in waiting)
    assert not server.is_connected


async def _ask(shared: SharedConnection, command: bytes) -> Any:
    return await shared.ask(command)
