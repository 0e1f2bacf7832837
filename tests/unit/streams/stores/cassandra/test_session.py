"""Which errors of Cassandra count as an outage, tested with the driver's own decoder of errors."""

import struct
from collections.abc import Callable
from io import BytesIO
from typing import Any, cast

import pytest
from cassandra import (
    AuthenticationFailed,
    ConsistencyLevel,
    InvalidRequest,
    OperationTimedOut,
    ReadFailure,
    Unauthorized,
    WriteFailure,
    WriteType,
)
from cassandra.cluster import NoHostAvailable, Session
from cassandra.connection import ConnectionShutdown
from cassandra.pool import NoConnectionsAvailable
from cassandra.protocol import ErrorMessage, PreparedQueryNotFound, SyntaxException
from cassandra.query import PreparedStatement

from streams.core.limits.breaker import Breaker, KeyBreakers
from streams.errors import StoreUnavailable
from streams.stores.cassandra.session import CassandraSession

CODES = {
    "server error": 0x0000,
    "bad credentials": 0x0100,
    "overloaded": 0x1001,
    "bootstrapping": 0x1002,
    "truncate": 0x1003,
    "cdc write": 0x1600,
    "unauthorized": 0x2100,
    "configuration": 0x2300,
    "a code of a later version": 0x17FF,
}


def from_server(code: int, text: str = "a test said so") -> Exception:
    """Decode an error frame as the driver does."""
    body = struct.pack(">iH", code, len(text)) + text.encode()
    error: Exception = ErrorMessage.recv_body(BytesIO(body), 5).to_exception()
    return error


def malformed(text: str) -> Exception:
    return from_server(0x2200, text)


class Response:
    """The future of a request that fails at once."""

    has_more_pages = False

    def __init__(self, error: Exception) -> None:
        self._error = error

    def add_callbacks(self, _: Callable[..., None], on_error: Callable[[Exception], None]) -> None:
        on_error(self._error)


class Statement:
    query_string = "SELECT"
    routing_key = None

    def bind(self, values: object) -> object:
        return self


class FailingSession:
    def __init__(self, error: Exception) -> None:
        self._error = error

    def execute_async(self, _: object, paging_state: bytes | None) -> Response:
        return Response(self._error)


async def read(error: Exception) -> None:
    session: Any = cast(Session, FailingSession(error))
    database = CassandraSession(session, Breaker(failures_max=9, open_s=1.0), 5.0)
    await database.rows(cast(PreparedStatement, Statement()))


@pytest.mark.parametrize("code", CODES.values(), ids=CODES)
async def test_what_a_running_server_refuses_is_an_outage(code: int) -> None:
    """So is a code for which the driver has no exception class."""
    with pytest.raises(StoreUnavailable):
        await read(from_server(code))


@pytest.mark.parametrize(
    "error",
    [
        Unauthorized("User app has no SELECT permission"),
        AuthenticationFailed("expired"),
        ReadFailure("tombstones", consistency=ConsistencyLevel.LOCAL_QUORUM),
        WriteFailure("disk full", consistency=ConsistencyLevel.LOCAL_QUORUM, write_type=WriteType.SIMPLE),
        OperationTimedOut(),
        PreparedQueryNotFound(code=0x2500, message="forgotten", info=b"1"),
        NoHostAvailable("none", {}),
        NoConnectionsAvailable(),
        ConnectionShutdown("closed"),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_a_failure_of_the_server_or_of_a_connection_is_an_outage(error: Exception) -> None:
    """The statement can be retried."""
    with pytest.raises(StoreUnavailable):
        await read(error)


@pytest.mark.parametrize(
    "text",
    [
        "unconfigured table photos",
        "keyspace shutterline does not exist",
        "Keyspace 'shutterline' does not exist",
        "Table photos doesn't exist",
    ],
)
async def test_a_missing_schema_is_an_outage(text: str) -> None:
    """All statements were prepared at the start, so the schema existed then.

    An operator has dropped it since, or a late node does not have it yet.
    """
    with pytest.raises(StoreUnavailable):
        await read(malformed(text))


async def test_a_guardrail_is_an_outage() -> None:
    """An operator set the limit, here for the used disk. It is reported like a malformed statement."""
    with pytest.raises(StoreUnavailable):
        await read(
            malformed(
                "Guardrail replica_disk_usage violated: Write request failed because disk usage exceeds"
                " failure threshold"
            )
        )


async def test_a_malformed_statement_is_our_bug() -> None:
    """No retry can make the server accept it."""
    with pytest.raises(InvalidRequest):
        await read(malformed("Key may not be empty"))
    with pytest.raises(SyntaxException):
        await read(from_server(0x2000))


async def test_a_slow_partition_does_not_open_the_breaker() -> None:
    """The statement's partition is its key: one fails twenty times, and the others are still asked."""
    asked: list[bytes] = []

    class Server:
        def execute_async(self, statement: "OnePartition", paging_state: bytes | None) -> Response:
            asked.append(statement.routing_key)
            return Response(OperationTimedOut())

    class OnePartition:
        query_string = "SELECT"

        def bind(self, values: tuple[bytes]) -> "OnePartition":
            self.routing_key = values[0]
            return self

    session: Any = Server()
    statement: Any = OnePartition()
    keys = KeyBreakers(failures_max=3, open_s=60.0, keys_max=10)
    database = CassandraSession(session, Breaker(failures_max=3, open_s=60.0), 5.0, keys)
    for partition in [b"slow"] * 20 + [b"other"]:
        with pytest.raises(StoreUnavailable):
            await database.rows(statement, partition)

    assert asked == [b"slow"] * 3 + [b"other"]


class Written:
    """The future of a request that succeeds at once."""

    has_more_pages = False

    def add_callbacks(self, on_rows: Callable[[None], None], _: object) -> None:
        on_rows(None)


class SuccessfulSession:
    def __init__(self) -> None:
        self.sent: list[object] = []

    def execute_async(self, statement: object, paging_state: bytes | None) -> Written:
        self.sent.append(statement)
        return Written()


async def test_a_single_write_is_no_batch() -> None:
    """A batch of one statement costs the driver and the server more than the statement."""
    session, statement = SuccessfulSession(), Statement()
    database = CassandraSession(cast(Session, session), Breaker(failures_max=9, open_s=1.0), 5.0)

    await database.batch([(cast(PreparedStatement, statement), ())])

    assert session.sent == [statement]


class AnsweredTwice:
    """The future of a page that both of two nodes send, as the driver reports it; then one of them fails."""

    def __init__(self, rows: list[tuple[int]], following: bytes | None) -> None:
        self._rows = rows
        self._paging_state, self._col_names, self._col_types = (
            following,
            (),
            (),
        )  # For the driver's ResultSet.
        self.has_more_pages = following is not None

    def add_callbacks(self, on_rows: Callable[[object], None], on_error: Callable[[Exception], None]) -> None:
        on_rows(list(self._rows))
        on_rows(list(self._rows))
        on_error(OperationTimedOut())


async def test_the_second_answer_after_a_speculative_retry_has_no_effect() -> None:
    """Each row is there once, and the next page is that behind the first answer."""
    pages = {None: ([(1,), (2,)], b"2"), b"2": ([(3,), (4,)], b"4"), b"4": ([(5,)], None)}
    asked: list[bytes | None] = []

    class Server:
        def execute_async(self, _: object, paging_state: bytes | None) -> AnsweredTwice:
            asked.append(paging_state)
            return AnsweredTwice(*pages[paging_state])

    session: Any = Server()
    database = CassandraSession(session, Breaker(failures_max=9, open_s=1.0), 5.0)

    rows = await database.rows(cast(PreparedStatement, Statement()))

    assert rows == [(1,), (2,), (3,), (4,), (5,)]
    assert asked == [None, b"2", b"4"]
