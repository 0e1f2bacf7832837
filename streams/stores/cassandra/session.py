"""Cassandra for asyncio: prepared statements, bounded concurrency, a deadline and breakers.

The driver reports results on its own thread; `LoopHandover` brings them to the event loop.
"""

import asyncio
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeAlias

from cassandra import AuthenticationFailed, ConsistencyLevel, DriverException, InvalidRequest
from cassandra.auth import PlainTextAuthProvider
from cassandra.cluster import (
    EXEC_PROFILE_DEFAULT,
    Cluster,
    ExecutionProfile,
    NoHostAvailable,
    ResultSet,
    Session,
)
from cassandra.connection import ConnectionException
from cassandra.policies import (
    ConstantReconnectionPolicy,
    ConstantSpeculativeExecutionPolicy,
    DCAwareRoundRobinPolicy,
    TokenAwarePolicy,
)
from cassandra.pool import NoConnectionsAvailable
from cassandra.protocol import ErrorMessage, SyntaxException
from cassandra.query import BatchStatement, BatchType, PreparedStatement, Statement, tuple_factory
from more_itertools import sliced

from streams.core.limits.breaker import Breaker, KeyBreakers
from streams.errors import StoreMisconfigured, StoreUnavailable
from streams.handover import LoopHandover
from streams.settings import CassandraSettings
from streams.stores.guard import StoreGuard
from streams.stores.tls import require_certificate, tls_context

# A partition's position on the ring: Murmur3Partitioner's tokens are 64-bit integers.
TOKEN_MIN, TOKEN_MAX = -(2**63), 2**63 - 1
Row = tuple[Any, ...]
_Page: TypeAlias = tuple[list[Row], bytes | None]  # Its rows, and the driver's name of the page after it.
_Result: TypeAlias = tuple[asyncio.Future[_Page], _Page | BaseException]
STORE = "cassandra"
STATEMENTS_A_BATCH = 300
IN_FLIGHT_MAX = 128  # More requests at once are slower, because the driver's CPU time is the limit.
# The driver raises ErrorMessage, which is not a DriverException, for error codes that it does not
# translate, such as overloaded, bootstrapping, a truncation, or a forgotten prepared statement.
_ERRORS = (DriverException, NoHostAvailable, ErrorMessage, ConnectionException, NoConnectionsAvailable)
# InvalidRequest also has two cases that are no bug of ours. The schema is missing: a node does not know
# a new table yet, or an operator restores a keyspace; every statement was prepared successfully when the
# process started. Or a guardrail is violated: a limit of the operator, such as one for the used disk.
_NOT_OURS = re.compile(
    r"unconfigured table|(keyspace|table) \S+ does(n't| not) exist|guardrail \S+ violated", re.IGNORECASE
)
# The driver's class is the same for a role that may not log in now, and for a node that cannot read the
# roles now. Both may change while we wait, so the text decides.
_WRONG_LOGIN = re.compile(r"password are incorrect|requires authentication")
CONNECT_TIMEOUT_S = 5.0  # May exceed a request's deadline, as no request waits for a new connection.


class CassandraSession:
    """The session of one process.

    Raises `StoreUnavailable` in an outage, and the driver's error if our own code built a wrong
    request.
    """

    def __init__(
        self, session: Session, breaker: Breaker, timeout_s: float, keys: KeyBreakers | None = None
    ) -> None:
        """`keys` are the breakers of single partitions."""
        self._session = session
        self._guard = StoreGuard(
            STORE,
            breaker,
            timeout_s=timeout_s,
            errors=_ERRORS,
            keys=keys,
            is_final=_is_malformed,
        )
        self._slots = asyncio.Semaphore(IN_FLIGHT_MAX)
        self._results: LoopHandover[_Result] = LoopHandover(_resolve)

    def prepare(self, cql: str, *, idempotent: bool = True) -> PreparedStatement:
        """Prepare a statement. Blocks its thread, so a process with an event loop calls it in another.

        Raises:
            StoreUnavailable: Cassandra did not answer, or the schema is not there yet.
        """
        with _outages_of("prepare"):
            statement = self._session.prepare(cql)
        statement.is_idempotent = idempotent
        return statement

    async def rows(self, statement: PreparedStatement, *values: object) -> list[Row]:
        """Run a statement and return all rows of all pages."""
        bound = statement.bind(values)
        rows: list[Row] = await self._guard.run(
            statement.query_string, self._execute, bound, key=bound.routing_key
        )
        return rows

    async def batch(self, bound: Sequence[tuple[PreparedStatement, tuple[object, ...]]]) -> None:
        """Write one batch without a batch log.

        The writes to one partition are applied completely or not at all. After a failure, some
        partitions may be written.
        """
        statements = [statement.bind(values) for statement, values in bound]
        partition = statements[0].routing_key
        key = partition if all(one.routing_key == partition for one in statements) else None
        await self._guard.run(f"batch of {len(bound)}", self._execute, _together(statements), key=key)

    async def batches(self, bound: Sequence[tuple[PreparedStatement, tuple[object, ...]]]) -> None:
        """Write batches of at most `STATEMENTS_A_BATCH` statements, all at once."""
        await asyncio.gather(*(self.batch(some) for some in sliced(bound, STATEMENTS_A_BATCH)))

    async def _execute(self, statement: Statement) -> list[Row]:
        async with self._slots:
            rows, following = await self._send(statement)
            while following is not None:
                more, following = await self._send(statement, following)
                rows += more
            return rows

    def _send(self, statement: Statement, page: bytes | None = None) -> asyncio.Future[_Page]:
        """Ask for one page, the first one without `page`."""
        future: asyncio.Future[_Page] = asyncio.get_running_loop().create_future()
        response = self._session.execute_async(statement, paging_state=page)

        def succeeded(rows: list[Row] | None) -> None:
            following = ResultSet(response, rows).paging_state if response.has_more_pages else None
            self._results.put((future, (rows or [], following)))

        # After a speculative retry the driver reports the answer of each node, and would take the second one
        # for the next page. So each page is a request of its own, whose future has the first answer.
        response.add_callbacks(succeeded, lambda error: self._results.put((future, error)))
        return future


def _together(statements: Sequence[Statement]) -> Statement:
    if len(statements) == 1:
        return statements[0]  # A batch of one costs the driver and the server more.
    batch = BatchStatement(batch_type=BatchType.UNLOGGED)
    batch.is_idempotent = True
    for statement in statements:
        batch.add(statement)
    return batch


def open_session(settings: CassandraSettings, timeout_s: float) -> Session:
    """Connect to the keyspace; blocks its thread for seconds, longer if there are many nodes.

    Raises:
        StoreUnavailable: No node answered, or the keyspace is not there yet.
        StoreMisconfigured: The nodes will never let this process in with these settings.
    """
    return connect_to(settings.keyspace, settings, timeout_s)


def connect_to(keyspace: str | None, settings: CassandraSettings, timeout_s: float) -> Session:
    """Like `open_session`, for a command that makes the keyspace. The caller shuts `session.cluster` down."""
    # Each try needs a new cluster, because a cluster that failed to connect is shut down.
    cluster = make_cluster(settings, timeout_s)
    try:
        with _outages_of("connect"):
            return cluster.connect(keyspace)
    except StoreUnavailable as error:
        cluster.shutdown()
        refuse_settings(cluster, settings, error)
        raise
    except BaseException:
        cluster.shutdown()
        raise


def refuse_settings(cluster: Cluster, settings: CassandraSettings, error: Exception) -> None:
    """Return if waiting may help after `error`, with which `cluster` failed to connect. Blocks for seconds.

    Raises:
        StoreMisconfigured: Every node refuses the login or has an invalid certificate, or no node is in the
            data centre of the settings.
    """
    datacenters = sorted({host.datacenter for host in cluster.metadata.all_hosts() if host.datacenter})
    if datacenters and settings.cassandra_datacenter not in datacenters:
        raise StoreMisconfigured(
            f"{STORE} at {settings.cassandra} has no data centre {settings.cassandra_datacenter!r}, only "
            f"{', '.join(datacenters)}. Correct SHUTTERLINE_CASSANDRA_DATACENTER, then start again."
        )
    if _is_wrong_login(error.__cause__):
        raise StoreMisconfigured.of_login(
            STORE,
            settings.cassandra,
            settings.cassandra_username,
            "SHUTTERLINE_CASSANDRA_USERNAME or SHUTTERLINE_CASSANDRA_PASSWORD",
        )
    if settings.cassandra_tls_ca is not None:
        context = tls_context(settings.cassandra_tls_ca)
        require_certificate(STORE, settings.cassandra.split(","), context, "SHUTTERLINE_CASSANDRA_TLS_CA")


def _is_wrong_login(error: BaseException | None) -> bool:
    """Return whether every node refused the login."""
    if not isinstance(error, NoHostAvailable) or not isinstance(error.errors, Mapping):
        return False
    errors = error.errors.values()
    return bool(errors) and all(_WRONG_LOGIN.search(str(one)) for one in errors)


@contextmanager
def _outages_of(operation: str) -> Iterator[None]:
    """Raise `StoreUnavailable` for the driver's errors that are outages, as the guard does."""
    try:
        yield
    except _ERRORS as error:
        if _is_malformed(error):
            raise
        raise StoreUnavailable(STORE, operation, f"{type(error).__name__} {error}") from error


def _is_malformed(error: Exception) -> bool:
    """Return whether our own code built the statement or a value of it wrongly."""
    if isinstance(error, InvalidRequest):
        return _NOT_OURS.search(str(error)) is None
    return isinstance(error, SyntaxException)


def _resolve(result: _Result) -> None:
    future, outcome = result
    if future.done():
        return
    if isinstance(outcome, BaseException):
        future.set_exception(outcome)
    else:
        future.set_result(outcome)


class _PatientConnection(Cluster.connection_class):  # type: ignore[misc]  # The driver has no types.
    """A connection whose failed login is like any other failure.

    After an `AuthenticationFailed` the driver never connects to the node again. A running node fails a
    login also while it is overloaded, or while the role's permission is revoked.
    """

    def defunct(self, error: Exception) -> None:
        if isinstance(error, AuthenticationFailed):
            error = ConnectionException(str(error), self.endpoint)
        super().defunct(error)


def make_cluster(settings: CassandraSettings, timeout_s: float) -> Cluster:
    """Make a cluster that detects failures early.

    If a node hangs, a request takes one speculative retry longer, instead of 14 s.
    """
    hosts = [address.rsplit(":", 1) for address in settings.cassandra.split(",")]
    profile = ExecutionProfile(
        load_balancing_policy=TokenAwarePolicy(
            DCAwareRoundRobinPolicy(local_dc=settings.cassandra_datacenter)
        ),
        consistency_level=ConsistencyLevel.LOCAL_QUORUM,
        serial_consistency_level=ConsistencyLevel.LOCAL_SERIAL,
        request_timeout=timeout_s,
        row_factory=tuple_factory,
        speculative_execution_policy=ConstantSpeculativeExecutionPolicy(0.1, 2),
    )
    auth = None
    if settings.cassandra_username:
        auth = PlainTextAuthProvider(
            settings.cassandra_username, settings.cassandra_password.get_secret_value()
        )
    return Cluster(
        contact_points=[(host, int(port)) for host, port in hosts],
        execution_profiles={EXEC_PROFILE_DEFAULT: profile},
        auth_provider=auth,
        connection_class=_PatientConnection,
        ssl_context=None if settings.cassandra_tls_ca is None else tls_context(settings.cassandra_tls_ca),
        protocol_version=5,
        connect_timeout=CONNECT_TIMEOUT_S,
        control_connection_timeout=CONNECT_TIMEOUT_S,
        idle_heartbeat_interval=2,
        idle_heartbeat_timeout=2,
        reconnection_policy=ConstantReconnectionPolicy(1.0, None),
    )
