"""Feed pages as fast as an API answers, over a few connections, with a client that costs little.

An ordinary HTTP client needs half as much CPU for a page as the API, on the same cores.
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from schemas.ids import UserId
from shutterline.client.feed import TokenOf, feed_path

PAGE_PHOTOS = 20
COMPLETE = b'"completeness":"complete"'
RETRY_S = 0.05
TRIES_MAX = 200


@dataclass(slots=True)
class PageLoad:
    """Seconds of each page, how many responses were not complete, and the last complete body."""

    took_s: list[float] = field(default_factory=list)
    retried: int = 0
    body: bytes = b""


async def read_pages(
    api: str, readers: Sequence[UserId], token_of: TokenOf, *, connections: int
) -> tuple[PageLoad, float]:
    """Read the first page of each reader, in turn, until it is complete; returns the seconds of all, too.

    Raises:
        RuntimeError: A page was still not complete after `TRIES_MAX` tries.
    """
    address = urlsplit(api)
    requests = [_request(address.netloc, token_of(reader)) for reader in readers]
    remaining = iter(requests)
    load = PageLoad()

    async def connection() -> None:
        reader, writer = await asyncio.open_connection(address.hostname, address.port)
        for request in remaining:  # The connections share one iterator.
            began_s = time.perf_counter()
            for _ in range(TRIES_MAX):
                writer.write(request)
                body = await _body(reader)
                if COMPLETE in body[-200:]:
                    break
                load.retried += 1
                await asyncio.sleep(RETRY_S)
            else:
                raise RuntimeError(f"not complete after {TRIES_MAX} tries: {body[-300:]!r}")
            load.took_s.append(time.perf_counter() - began_s)
            load.body = body
        writer.close()

    began_s = time.monotonic()
    await asyncio.gather(*(connection() for _ in range(connections)))
    return load, time.monotonic() - began_s


def _request(host: str, token: str) -> bytes:
    return (
        f"GET {feed_path(PAGE_PHOTOS)} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\n\r\n"
    ).encode()


async def _body(reader: asyncio.StreamReader) -> bytes:
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    return await reader.readexactly(int(head.split(b"content-length:", 1)[1].split(b"\r", 1)[0]))
