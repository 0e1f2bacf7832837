"""Plain HTTP/1.1 over a socket, for targets, methods and headers that client libraries would change
before they send them."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

DEADLINE_S = 30.0


@dataclass(frozen=True)
class Answer:
    """A response. `headers` has names in lower case; if a header came twice, its values are joined
    by a comma."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def cache(self) -> str:
        return self.headers.get("x-cache", "")


async def ask(
    port: int, target: str, method: str = "GET", headers: Mapping[str, str] | None = None, body: bytes = b""
) -> Answer:
    """Send one request on a new connection."""
    head = {"Host": "photos", "Connection": "close", **(headers or {})}
    if body:
        head["Content-Length"] = str(len(body))
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in head.items()), "", ""]
    async with asyncio.timeout(DEADLINE_S):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            writer.write("\r\n".join(lines).encode() + body)
            return _parsed(await reader.read())
        finally:
            writer.close()
            await writer.wait_closed()


def target_of(url: str) -> str:
    """Return the path and query of a URL, as a client sends them to the server."""
    parts = urlsplit(url)
    return f"{parts.path}?{parts.query}"


def _parsed(answer: bytes) -> Answer:
    head, _, body = answer.partition(b"\r\n\r\n")
    first, *rest = head.decode("latin-1").split("\r\n")
    headers: dict[str, str] = {}
    for name, _, value in (line.partition(": ") for line in rest):
        known = headers.get(name.lower())
        headers[name.lower()] = value if known is None else f"{known}, {value}"
    return Answer(int(first.split()[1]), headers, body)
