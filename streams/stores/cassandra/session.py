"""Cassandra for asyncio: prepared statements, bounded, with a deadline and a breaker.

The driver answers on its own thread. Answers are collected there and handed to the
event loop once per burst, because waking the loop costs more than an answer does.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from time import monotonic
from typing import Any

from cassandra import ConsistencyLevel, DriverException, RequestValidationException
from cassandra.auth import PlainTextAuthProvider
from cassandra.cluster import EXEC_PROFILE_DEFAULT, Cluster, ExecutionProfile, NoHostAvailable, Session
from cassandra.policies import (
    ConstantReconnectionPolicy,
    ConstantSpeculativeExecutionPolicy,
    DCAwareRoundRobinPolicy,
    TokenAwarePolicy,
)
from cassandra.query import BatchStatement, BatchType, PreparedStatement, tuple_factory

from streams.core.breaker import Breaker
from streams.errors import StoreUnavailable
from streams.metrics import BREAKER
from streams.settings import Settings

Row = tuple[Any, ...]
STORE = "cassandra"
IN_FLIGHT_MAX = 128  # More is slower: the driver's own CPU is the limit.
FETCH_ROWS = 5_000
CONNECT_TIMEOUT_S = 5.0  # No request waits for a connection.


class CassandraSession:
    """One process's session. Every failure to answer is `StoreUnavailable`; anything else is our bug."""

    def __init__(self, session: Session, breaker: Breaker, timeout_s: float) -> None:
        self._session = session
        self._breaker = breaker
        self._timeout_s = timeout_s
        self._slots = asyncio.Semaphore(IN_FLIGHT_MAX)
        self._loop = asyncio.get_running_loop()
        self._answers: deque[tuple[asyncio.Future[list[Row]], list[Row] | BaseException]] = deque()
        self._waking = False

    def prepare(self, cql: str, *, idempotent: bool = True) -> PreparedStatement:
        """Prepare a statement; blocks, so only while starting."""
        statement = self._session.prepare(cql)
        statement.is_idempotent = idempotent
        return statement

    async def rows(self, statement: PreparedStatement, *values: object) -> list[Row]:
        """All rows of all pages."""
        return await self._run(statement.query_string, lambda: statement.bind(values))

    async def batch(self, bound: Sequence[tuple[PreparedStatement, tuple[object, ...]]]) -> None:
        """Write without a batch log; rows of one partition are applied whole."""

        def build() -> BatchStatement:
            batch = BatchStatement(batch_type=BatchType.UNLOGGED)
            batch.is_idempotent = True
            for statement, values in bound:
                batch.add(statement, values)
            return batch

        await self._run(f"batch of {len(bound)}", build)

    async def _run(self, operation: str, build: Callable[[], Any]) -> list[Row]:
        if not self._breaker.allows(monotonic()):
            raise StoreUnavailable(STORE, operation, "its breaker is open")
        try:
            async with asyncio.timeout(self._timeout_s), self._slots:
                answer = await self._execute(build())
        except RequestValidationException:
            raise  # We asked something wrong; waiting would not help.
        except (TimeoutError, DriverException, NoHostAvailable) as error:
            self._breaker.failed(monotonic())
            BREAKER.labels(STORE).set(self._breaker.is_open)
            raise StoreUnavailable(STORE, operation, f"{type(error).__name__} {error}") from error
        self._breaker.succeeded()
        BREAKER.labels(STORE).set(self._breaker.is_open)
        return answer

    def _execute(self, statement: Any) -> asyncio.Future[list[Row]]:
        answer: asyncio.Future[list[Row]] = self._loop.create_future()
        collected: list[Row] = []
        response = self._session.execute_async(statement)

        def page(rows: list[Row] | None) -> None:
            collected.extend(rows or ())
            if response.has_more_pages:
                response.start_fetching_next_page()
            else:
                self._hand_over(answer, collected)

        response.add_callbacks(page, lambda error: self._hand_over(answer, error))
        return answer

    def _hand_over(self, answer: asyncio.Future[list[Row]], result: list[Row] | BaseException) -> None:
        # Only the first of a burst wakes the loop. Append, then look at the flag; the loop
        # clears the flag, then looks for answers: so none is left behind.
        self._answers.append((answer, result))
        if not self._waking and not self._loop.is_closed():
            self._waking = True
            self._loop.call_soon_threadsafe(self._drain)

    def _drain(self) -> None:
        self._waking = False
        while self._answers:
            answer, result = self._answers.popleft()
            if answer.done():
                continue
            if isinstance(result, BaseException):
                answer.set_exception(result)
            else:
                answer.set_result(result)


def make_cluster(settings: Settings, timeout_s: float) -> Cluster:
    """A cluster object that notices trouble early: a hung node costs one speculative retry, not 14 s."""
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
        ssl_context=_tls(settings),
        protocol_version=5,
        connect_timeout=CONNECT_TIMEOUT_S,
        control_connection_timeout=CONNECT_TIMEOUT_S,
        idle_heartbeat_interval=2,
        idle_heartbeat_timeout=2,
        reconnection_policy=ConstantReconnectionPolicy(1.0, None),
    )


def _tls(settings: Settings) -> Any:
    if settings.cassandra_tls_ca is None:
        return None
    import ssl

    return ssl.create_default_context(cafile=str(settings.cassandra_tls_ca))
