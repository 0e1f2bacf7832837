"""The head and the body of a response leave in one write, and nothing waits longer than that."""

import asyncio
from typing import Any

import pytest

from api.http.protocol import JoinedWrites


class _Transport:
    def __init__(self) -> None:
        self.sent: list[list[bytes]] = []
        self.closed = False

    def writelines(self, pieces: list[bytes]) -> None:
        assert not self.closed
        self.sent.append(pieces)

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.closed = True

    def get_write_buffer_size(self) -> int:
        return 0


@pytest.fixture
async def transport() -> _Transport:
    return _Transport()


@pytest.fixture
async def joined(transport: Any) -> JoinedWrites:
    return JoinedWrites(transport, asyncio.get_running_loop())


async def test_two_writes_are_sent_at_once(transport: _Transport, joined: JoinedWrites) -> None:
    """The third one waits again."""
    for piece in (b"head", b"body", b"more"):
        joined.write(piece)

    assert transport.sent == [[b"head", b"body"]]
    assert joined.get_write_buffer_size() == len(b"more")


async def test_one_write_is_sent_in_the_next_iteration(transport: _Transport, joined: JoinedWrites) -> None:
    """The event loop does it, whether or not anything follows."""
    joined.write(b"head")
    await asyncio.sleep(0)
    joined.write(b"body")
    await asyncio.sleep(0)

    assert transport.sent == [[b"head"], [b"body"]]


async def test_closing_sends_what_waits(transport: _Transport, joined: JoinedWrites) -> None:
    """A response may be the last one of its connection."""
    joined.write(b"last")
    joined.close()

    assert (transport.sent, transport.closed) == ([[b"last"]], True)


async def test_nothing_is_sent_after_an_abort(transport: _Transport, joined: JoinedWrites) -> None:
    """The transport would raise."""
    joined.write(b"late")
    joined.abort()
    await asyncio.sleep(0)

    assert transport.sent == []
