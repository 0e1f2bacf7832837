"""Whether a server answers, asked in its own protocol with a few bytes and no client library."""

import http.client
import socket

ANSWER_DEADLINE_S = 1.0

# ApiVersions, version 0, correlation id 1, no client id.
KAFKA_QUESTION = b"\0\0\0\x0a\0\x12\0\0\0\0\0\1\xff\xff"
# OPTIONS in protocol version 4; SUPPORTED is answer code 6.
CASSANDRA_QUESTION = b"\x04\0\0\0\x05\0\0\0\0"
CASSANDRA_SUPPORTED = 6


def kafka_answers(port: int) -> bool:
    return len(_ask(port, KAFKA_QUESTION, 4)) == 4


def cassandra_answers(port: int) -> bool:
    answer = _ask(port, CASSANDRA_QUESTION, 9)
    return len(answer) == 9 and answer[4] == CASSANDRA_SUPPORTED


def redis_answers(port: int) -> bool:
    """A Redis that is still loading its data answers -LOADING and is not ready."""
    return _ask(port, b"PING\r\n", 5) == b"+PONG"


def http_answers(address: str, path: str) -> bool:
    """Whether `GET path` at `host:port` answers 200."""
    connection = http.client.HTTPConnection(address, timeout=ANSWER_DEADLINE_S)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
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
