"""Whether a server answers a request in its own protocol: a few bytes, without a client library.

Synchronous, because the stack starts and stops processes without an event loop.
"""

import http.client
import socket
from http import HTTPStatus

from infra.local.processes.daemon import Daemon

ANSWER_DEADLINE_S = 1.0

# ApiVersions, version 0, correlation id 1, no client id.
KAFKA_QUESTION = b"\0\0\0\x0a\0\x12\0\0\0\0\0\1\xff\xff"
# OPTIONS in protocol version 4; SUPPORTED is answer code 6.
CASSANDRA_QUESTION = b"\x04\0\0\0\x05\0\0\0\0"
CASSANDRA_SUPPORTED = 6


def kafka_responds(port: int) -> bool:
    return len(_ask(port, KAFKA_QUESTION, 4)) == 4


def cassandra_responds(port: int) -> bool:
    answer = _ask(port, CASSANDRA_QUESTION, 9)
    return len(answer) == 9 and answer[4] == CASSANDRA_SUPPORTED


def redis_responds(port: int) -> bool:
    """A Redis that is still loading its data says -LOADING and is not ready."""
    return _ask(port, b"PING\r\n", 5) == b"+PONG"


def http_responds(address: str, path: str) -> bool:
    """Whether `GET path` at `host:port` returns 200."""
    return http_body(address, path) is not None


def process_responds(process: Daemon, path: str) -> bool:
    """Whether `GET path` returns 200 at the address that the process has written to its metrics file."""
    address = process.metrics_address
    return address is not None and http_responds(address, path)


def http_body(address: str, path: str, *, deadline_s: float = ANSWER_DEADLINE_S) -> str | None:
    """The body that `GET path` at `host:port` returns; None after an error or if it is not 200."""
    connection = http.client.HTTPConnection(address, timeout=deadline_s)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.read().decode() if response.status == HTTPStatus.OK else None
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def _ask(port: int, question: bytes, answer_bytes: int) -> bytes:
    try:
        with socket.create_connection(("127.0.0.1", port), ANSWER_DEADLINE_S) as connection:
            connection.settimeout(ANSWER_DEADLINE_S)
            connection.sendall(question)
            return connection.recv(answer_bytes, socket.MSG_WAITALL)
    except OSError:
        return b""
