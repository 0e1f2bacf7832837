"""Whether a server answers a request in its own protocol: a few bytes, without a client library.

Synchronous, because the stack starts and stops processes without an event loop.
"""

import http.client
import socket
import ssl
from http import HTTPStatus
from pathlib import Path

from infra.local.processes.daemon import Daemon

ANSWER_DEADLINE_S = 1.0

# ApiVersions, version 0, correlation id 1, no client id.
KAFKA_QUESTION = b"\0\0\0\x0a\0\x12\0\0\0\0\0\1\xff\xff"
# OPTIONS in protocol version 4; SUPPORTED is answer code 6.
CASSANDRA_QUESTION = b"\x04\0\0\0\x05\0\0\0\0"
CASSANDRA_SUPPORTED = 6


def kafka_responds(port: int, authority: Path | None = None) -> bool:
    """With `authority`, over TLS: the file of the authority that has signed its certificate."""
    return len(_ask(port, KAFKA_QUESTION, 4, authority)) == 4


def cassandra_responds(port: int, authority: Path | None = None) -> bool:
    """See `kafka_responds`."""
    answer = _ask(port, CASSANDRA_QUESTION, 9, authority)
    return len(answer) == 9 and answer[4] == CASSANDRA_SUPPORTED


def redis_responds(port: int, login: tuple[str, str] | None = None) -> bool:
    """A Redis that is still loading its data says -LOADING and is not ready. `login`: user and password."""
    if login is None:
        return _ask(port, b"PING\r\n", 5) == b"+PONG"
    question = f"AUTH {' '.join(login)}\r\nPING\r\n".encode()
    return _ask(port, question, 10) == b"+OK\r\n+PONG"


def accepts(port: int) -> bool:
    """Whether a connection is accepted."""
    with socket.socket() as probe:
        probe.settimeout(ANSWER_DEADLINE_S)
        return probe.connect_ex(("127.0.0.1", port)) == 0


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


def _ask(port: int, question: bytes, answer_bytes: int, authority: Path | None = None) -> bytes:
    try:
        with _connection(port, authority) as connection:
            connection.settimeout(ANSWER_DEADLINE_S)
            connection.sendall(question)
            answer = b""
            while len(answer) < answer_bytes and (more := connection.recv(answer_bytes - len(answer))):
                answer += more
            return answer
    except OSError:
        return b""


def _connection(port: int, authority: Path | None) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port), ANSWER_DEADLINE_S)
    if authority is None:
        return connection
    return ssl.create_default_context(cafile=authority).wrap_socket(connection, server_hostname="127.0.0.1")
