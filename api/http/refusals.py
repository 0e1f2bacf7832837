"""The bounds of a connection, and the responses to a client that exceeds them."""

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from http import HTTPStatus

import httptools
from starlette.responses import Response
from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from api.http.metrics import CONNECTIONS_REFUSED
from api.http.problems import Problem, too_many
from streams.limited_log import LimitedLog

_log = LimitedLog(logging.getLogger(__name__))


@dataclass(frozen=True, slots=True)
class ConnectionBounds:
    """`head_bytes_max` and `head_s_max` bound the request line with the headers, `idle_s_max` the pauses
    between requests and how long a response may wait for the client to read, and `queued_requests_max` what a
    client sends without waiting for responses."""

    head_bytes_max: int
    head_s_max: float
    idle_s_max: float
    queued_requests_max: int

    def too_large(self) -> Problem:
        return Problem(
            HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
            f"The request line and the headers may have at most {self.head_bytes_max} bytes.",
        )

    def too_slow(self) -> Problem:
        return Problem(
            HTTPStatus.REQUEST_TIMEOUT, f"The headers did not arrive within {self.head_s_max:g} s."
        )


def too_many_connections() -> Problem:
    return too_many("Your address has too many open connections.")


def malformed(error: httptools.HttpParserError) -> Problem:
    # A callback fails at the target only, and its error quotes all of it.
    reason = "Invalid target" if isinstance(error, httptools.HttpParserCallbackError) else str(error)
    return Problem(HTTPStatus.BAD_REQUEST, f"This is not a valid HTTP/1.1 request: {reason}.")


def record(reason: str, problem: Problem) -> None:
    """Count a refusal; log it, unless the same reason was logged a short time ago."""
    CONNECTIONS_REFUSED.labels(reason).inc()
    _log.warning(reason, "%s and closed a connection: %s", problem.status, problem.detail)


def last_response(response: Response, default_headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Return the bytes of a response after which the connection is closed."""
    headers = [*default_headers, *response.raw_headers, (b"connection", b"close")]
    lines = [b"%b: %b\r\n" % header for header in headers]
    return b"".join((STATUS_LINE[response.status_code], *lines, b"\r\n", response.body))
