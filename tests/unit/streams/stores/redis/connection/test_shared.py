"""The shared connection: each command gets its own reply; a failure replaces the connection."""

import asyncio
from typing import Any, Self

import pytest
from hiredis import pack_command
from redis.exceptions import ConnectionError as Disconnected
from redis.exceptions import RedisError, ResponseError

from bench.traffic.waiting import eventually
from streams.stores.redis.connection.shared import SharedConnection

TIMEOUT_S = 0.05


class _Server:
    """A connection to a server that replies with the command, and its transport; counts what it does."""

    def __init__(self) -> None:
        self.is_connected = False
        self.connects = 0
        self.writes: list[bytes] = []
        self.hung = False
        self.ended = False  # The server closed the connection; the client has not noticed.
        self.protocol: Any = asyncio.Protocol()

    async def connect(self) -> None:
        self.is_connected, self.ended = True, False
        self.connects += 1

    async def disconnect(self, nowait: bool = False) -> None:
        self.is_connected = False

    def has_ended(self) -> bool:
        return self.ended

    def transport(self) -> Self:
        return self

    def get_protocol(self) -> Any:
        return self.protocol

    def set_protocol(self, protocol: Any) -> None:
        self.protocol = protocol

    def abort(self) -> None:
        self.is_connected = False

    def write(self, commands: bytes) -> None:
        assert self.is_connected
        self.writes.append(commands)
        if not self.hung:
            answers = [_ANSWERS.get(command, b"+" + command) for command in commands.split(b"\r\n")[2::3]]
            loop = asyncio.get_running_loop()
            # The pieces of a reply arrive at different times.
            replies = b"".join(answer + b"\r\n" for answer in answers)
            loop.call_soon(self._arrive, self.protocol, replies[:5])
            loop.call_later(0.001, self._arrive, self.protocol, replies[5:])

    def close(self) -> None:
        self.protocol.connection_lost(None)

    def _arrive(self, protocol: Any, data: bytes) -> None:
        protocol.data_received(data)


_ANSWERS = {b"BAD": b"-ERR unknown command", b"LOADING": b"-LOADING from disk"}


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
    sent = [pack_command((name,)) for name in (b"0", b"2", b"3", b"4", b"later")]
    assert (server.writes, server.connects) == ([b"".join(sent)], 1)


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


async def test_commands_asked_together_have_one_answer() -> None:
    """The replies are in the order of the commands; the first error among them is the answer."""
    _, shared = _shared()

    answers = await asyncio.gather(
        shared.ask_together([(b"A",), (b"B",)]),
        shared.ask_together([(b"C",), (b"BAD",), (b"D",)]),
        shared.ask_together([(b"E",)]),
        return_exceptions=True,
    )

    assert (answers[0], answers[2]) == ([b"A", b"B"], [b"E"])
    assert isinstance(answers[1], ResponseError)


async def test_without_commands_there_are_no_replies_to_wait_for() -> None:
    server, shared = _shared()

    assert await asyncio.wait_for(shared.ask_together([]), TIMEOUT_S) == []
    assert server.connects == 0


async def test_a_server_that_hangs_fails_all_in_time_and_none_afterwards() -> None:
    """The next command uses a new connection: a late reply must not reach another command."""
    server, shared = _shared()
    server.hung = True
    before = asyncio.gather(shared.ask(b"A"), shared.ask(b"B"), return_exceptions=True)
    await eventually("the commands are sent", lambda: server.writes)
    hung = server.protocol

    answers = await before
    server.hung = False
    after = shared.ask(b"C")
    await eventually("the command is sent", lambda: len(server.writes) == 2)
    hung.data_received(b"+A\r\n")

    assert [isinstance(answer, RedisError) for answer in answers] == [True, True]
    assert "no reply within 0.05 s" in str(answers[0])
    assert await after == b"C"
    assert server.connects == 2


async def test_a_command_that_waited_for_others_fails_at_its_own_deadline() -> None:
    """The exchange that it is part of has more time, so the connection stays."""
    server: Any = _Server()
    shared = SharedConnection(lambda: server, 0.5)
    server.hung = True
    first = shared.ask(b"A")
    await asyncio.sleep(0.25)
    second = shared.ask(b"B")

    problems = await asyncio.gather(first, second, return_exceptions=True)

    assert ["no reply within 0.5 s" in str(problem) for problem in problems] == [True, True]
    assert (server.connects, server.is_connected) == (2, True)
    await shared.close()


async def test_a_server_that_is_loading_its_data_fails_all() -> None:
    """It is an outage, and the connection is replaced."""
    server, shared = _shared()

    answers = await asyncio.gather(shared.ask(b"LOADING"), shared.ask(b"B"), return_exceptions=True)

    assert [isinstance(answer, Disconnected) for answer in answers] == [True, True]
    assert (await shared.ask(b"C"), server.connects) == (b"C", 2)


@pytest.mark.parametrize("data", [b"?\r\n", b"+early\r\n"])
async def test_what_is_no_reply_to_a_command_replaces_the_connection(data: bytes) -> None:
    """Neither bytes that are no reply, nor a reply that nobody waits for, reach a later command."""
    server, shared = _shared()
    await shared.ask(b"A")

    server.protocol.data_received(data)

    assert (await shared.ask(b"B"), server.connects) == (b"B", 2)


async def test_a_message_that_is_no_reply_reaches_no_command() -> None:
    """RESP3 lets the server push messages between the replies."""
    server, shared = _shared()
    await shared.ask(b"A")

    server.protocol.data_received(b">1\r\n+message\r\n")

    assert (await shared.ask(b"B"), server.connects) == (b"B", 1)


async def test_a_server_that_cannot_be_reached_fails_the_waiting_commands() -> None:
    """The next command tries again."""
    server, shared = _shared()
    connect, server.connect = server.connect, _refuse  # type: ignore[method-assign]
    with pytest.raises(RedisError, match="refused"):
        await shared.ask(b"A")
    server.connect = connect  # type: ignore[method-assign]

    assert await shared.ask(b"B") == b"B"


async def _refuse() -> None:
    raise ConnectionRefusedError("refused")


async def test_a_connection_that_the_server_closed_is_reopened() -> None:
    """If the client notices in time, it reconnects first; a command that was sent already fails."""
    server, shared = _shared()
    await shared.ask(b"A")
    server.ended = True

    assert await shared.ask(b"B") == b"B"

    server.hung = True
    failing = shared.ask(b"C")
    await eventually("the command is sent", lambda: len(server.writes) == 3)
    server.close()
    with pytest.raises(RedisError, match="closed by the server"):
        await failing
    server.hung = False
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
