"""Read the document of a key set from its address or file, with bounds on time and size."""

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

import aiohttp


def key_source(address: str, *, bytes_max: int, fetch_s_max: float) -> Callable[[], Awaitable[bytes]]:
    """Return the function that reads the document of an https:// address or of a file.

    It raises OSError, TimeoutError or aiohttp.ClientError if the document cannot be read, and ValueError
    if it has more than `bytes_max` bytes.

    Raises:
        ValueError: The address is http:// and not on this machine, or has another scheme.
    """
    parts = urlsplit(address)
    if parts.scheme == "https" or (parts.scheme == "http" and _is_loopback(parts)):
        return lambda: _download(address, bytes_max, fetch_s_max)
    if "://" in address:
        raise ValueError(f"SHUTTERLINE_JWKS is {address!r}, but must be https:// or the path of a file")
    # A thread that hangs on a lost file system must not take the threads of other users.
    thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="jwks")
    return lambda: asyncio.get_running_loop().run_in_executor(thread, _read, Path(address), bytes_max)


def _is_loopback(parts: SplitResult) -> bool:
    host = parts.hostname or ""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


async def _download(address: str, bytes_max: int, fetch_s_max: float) -> bytes:
    # Redirects are refused, because they may lead to http:// or to another host. What is compressed
    # would be unpacked before its size is known.
    async with (
        aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=fetch_s_max),
            headers={"Accept-Encoding": "identity"},
            auto_decompress=False,
        ) as session,
        session.get(address, allow_redirects=False) as response,
    ):
        if response.status != HTTPStatus.OK:
            raise ValueError(
                f"the address of the key set responded with {response.status}, but must with 200"
            )
        document = bytearray()
        async for chunk in response.content.iter_any():
            document += chunk
            _check_size(len(document), bytes_max)
    return bytes(document)


def _read(path: Path, bytes_max: int) -> bytes:
    # Reading a pipe or a device could take for ever.
    if not path.is_file():
        raise FileNotFoundError(f"{path} is not a file")
    with path.open("rb") as file:
        document = file.read(bytes_max + 1)
    _check_size(len(document), bytes_max)
    return document


def _check_size(length: int, bytes_max: int) -> None:
    if length > bytes_max:
        raise ValueError(f"the key set has more than {bytes_max} bytes")
