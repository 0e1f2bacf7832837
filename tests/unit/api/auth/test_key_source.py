"""Where a key set is read from: safe addresses, regular files, and bounds on time and size."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from api.auth.key_source import key_source

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n"
Send = Callable[[asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def serving(send: Send) -> AsyncIterator[str]:
    """A server that reads a request's head and then sends what it likes; yields its address."""

    async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        try:
            await send(writer)
        except OSError:
            pass  # The client left.
        finally:
            writer.close()

    server = await asyncio.start_server(respond, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/keys"


def sending(*pieces: bytes) -> Send:
    async def send(writer: asyncio.StreamWriter) -> None:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()

    return send


@pytest.mark.parametrize(
    "address",
    [
        "http://issuer.example/keys",
        "HTTP://issuer.example/keys",
        "http://localhost.issuer.example/keys",
        "http://127.0.0.1.issuer.example/keys",
        "http://10.0.0.1/keys",
        "http://user@issuer.example/keys",
        "http:///keys",
        "ftp://issuer.example/keys",
        "://issuer.example/keys",
    ],
)
def test_an_address_without_tls_is_refused(address: str) -> None:
    """An attacker on the network path could add a key to the set."""
    with pytest.raises(ValueError, match="must be https://"):
        key_source(address, bytes_max=100, fetch_s_max=1)


@pytest.mark.parametrize(
    "address",
    ["https://issuer.example/keys", "HTTPS://issuer.example/keys", "http://localhost:1/", "http://[::1]:1/"],
)
def test_tls_or_this_machine_is_accepted(address: str) -> None:
    """Nobody is on the path to this machine."""
    key_source(address, bytes_max=100, fetch_s_max=1)


async def test_a_document_has_a_size_limit(tmp_path: Path) -> None:
    """However it is sent, and in a file too."""
    file = tmp_path / "keys.json"
    for length in (100, 101):
        document = b"x" * length
        file.write_bytes(document)
        async with serving(sending(HEAD, document[:60], document[60:])) as address:
            for source in (address, str(file)):
                read = key_source(source, bytes_max=100, fetch_s_max=5)
                if length == 100:
                    assert await read() == document
                else:
                    with pytest.raises(ValueError, match="more than 100 bytes"):
                        await read()


async def test_an_endless_document_ends_at_its_limit() -> None:
    """The rest is not read."""

    async def send(writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD)
        while True:
            writer.write(b" " * 65_536)
            await writer.drain()

    async with serving(send) as address:
        with pytest.raises(ValueError, match="more than"):
            await key_source(address, bytes_max=1_000_000, fetch_s_max=30)()


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\n\r\n",
        b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 204 None\r\n\r\n",
    ],
)
async def test_other_statuses_are_failures(head: bytes) -> None:
    """A redirect could lead away from TLS, or to an address that nobody configured."""
    async with serving(sending(head)) as address:
        with pytest.raises(ValueError, match="must with 200"):
            await key_source(address, bytes_max=100, fetch_s_max=5)()


@pytest.mark.parametrize("sent", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{", b"not HTTP\r\n\r\n"])
async def test_a_broken_response_is_one_of_the_named_errors(sent: bytes) -> None:
    """The task that fetches knows them; another error would end the process."""
    async with serving(sending(sent)) as address:
        with pytest.raises((OSError, ValueError, TimeoutError, aiohttp.ClientError)):
            await key_source(address, bytes_max=100, fetch_s_max=5)()


async def test_a_dripping_response_ends_at_the_deadline() -> None:
    """A byte now and then does not renew it."""

    async def send(writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD)
        while True:
            writer.write(b" ")
            await writer.drain()
            await asyncio.sleep(0.01)

    async with serving(send) as address:
        with pytest.raises(TimeoutError):
            await key_source(address, bytes_max=1_000_000, fetch_s_max=0.2)()


async def test_only_regular_files_are_read(tmp_path: Path) -> None:
    """Reading a pipe would never end."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path in (pipe, tmp_path, tmp_path / "nothing"):
        with pytest.raises(OSError, match="is not a file"):
            await key_source(str(path), bytes_max=100, fetch_s_max=1)()
