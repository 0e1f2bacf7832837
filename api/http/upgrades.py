"""Requests with Upgrade, which this server ignores, as RFC 9110 (7.8) lets it.

Clients that prefer HTTP/2 offer it in their first request, which may well be a POST. The parser then takes
the request as ended by its headers, so the body would be read as the next request.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import httptools

_FRAMING = (b"content-length", b"transfer-encoding")


def body_framing(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Return the headers that say how long the body is; none of them if there is no body."""
    framing = [header for header in headers if header[0] in _FRAMING]
    return [] if all(value.strip(b"0") == b"" for _, value in framing) else framing


def parser_within_body(protocol: Any, framing: Sequence[tuple[bytes, bytes]]) -> httptools.HttpRequestParser:
    """Return a parser for `protocol` that has read the head of a request with such a body."""
    callbacks = _Callbacks(protocol)
    parser = httptools.HttpRequestParser(callbacks)
    parser.set_dangerous_leniencies(lenient_data_after_close=True)  # As in uvicorn.
    lines = b"".join(b"%b: %b\r\n" % header for header in framing)
    parser.feed_data(b"POST / HTTP/1.1\r\n" + lines + b"\r\n")
    callbacks.muted = False
    return parser


class _Callbacks:
    """The callbacks of a protocol, which have no effect while `muted`."""

    def __init__(self, protocol: Any) -> None:
        self._protocol = protocol
        self.muted = True

    def __getattr__(self, name: str) -> Callable[..., None]:
        callback = getattr(self._protocol, name)

        def call(*args: bytes) -> None:
            if not self.muted:
                callback(*args)

        return call
