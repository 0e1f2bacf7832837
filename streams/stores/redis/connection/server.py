"""One Redis server for asyncio: a connection, a deadline, a breaker, and its incarnation."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from time import monotonic
from typing import Any

from redis.asyncio import ConnectionPool
from redis.asyncio.connection import Connection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import (
    AskError,
    ClusterCrossSlotError,
    DataError,
    NoScriptError,
    RedisError,
    ResponseError,
    TryAgainError,
)
from redis.exceptions import ConnectionError as Disconnected
from redis.exceptions import TimeoutError as NoReply
from redis.maint_notifications import MaintNotificationsConfig

from streams.core.limits.breaker import Breaker
from streams.errors import StoreUnavailable
from streams.stores.guard import StoreGuard
from streams.stores.redis.connection.client import (
    INCARNATION_BYTES,
    INCARNATION_TRIES,
    STORE,
    Command,
    KeysElsewhere,
    NameOf,
    RedisClient,
    Script,
)
from streams.stores.redis.connection.idle import Suspicion, checked
from streams.stores.redis.connection.shared import SharedConnection

# Where INFO has the ids of which the incarnation is made.
INFO_SECTIONS = (b"server", b"replication")
IDS = ("run_id", "master_replid")
# A primary may be replaced, and take over again, while nobody uses the connection to it. Without a replica
# for an hour, it changes its replication id.
LEARN_AGAIN_S = 10.0
# What a command raises on a connection whose peer has vanished.
_CUT = (Disconnected, NoReply, TimeoutError)
# The texts of errors of a command that our own code built wrongly. redis-py has one class,
# ResponseError, for these errors and for every error that it does not know, so only the text tells
# them apart. Some versions remove the code before the text. An error that matches nothing here is
# an outage.
_MALFORMED = re.compile(
    r"(^|: |ERR )(WRONGTYPE |Operation against a key holding the wrong kind of value"
    r"|wrong number of arguments|unknown (sub)?command|syntax error|value is not an integer"
    r"|Error compiling script|user_script:\d+: )",
    re.IGNORECASE,
)


# Of the text of the error of a script; the driver has no class for it.
_ELSEWHERE = "non local key"
# What a server of a cluster replies to a command on a key that it has not, or of which it has a part.
Redirection = AskError | TryAgainError  # MovedError is an AskError.


class RedisServer(RedisClient):
    """One server."""

    is_cluster = False

    def __init__(self, url: str, breaker: Breaker, timeout_s: float, store: str = STORE) -> None:
        """`store` is its name in metrics and errors."""
        self._store = store
        self._guard = StoreGuard(
            store,
            breaker,
            timeout_s=None,  # Every command has the deadline of the shared connection.
            errors=(RedisError, OSError),
            is_final=_is_malformed,
        )
        self.incarnation = b""  # Empty until it is known.
        self._learned_s = float("-inf")
        pool = ConnectionPool.from_url(
            url,
            socket_timeout=timeout_s,
            socket_connect_timeout=timeout_s,
            # Only the caller retries. A retry inside the driver could run on a restarted server,
            # with keys of the old incarnation.
            retry=Retry(NoBackoff(), 0),
            redis_connect_func=self._connected,
            # If these notifications are enabled, redis-py's pool sends on closed connections.
            maint_notifications_config=MaintNotificationsConfig(enabled=False),
        )
        self._suspicion = Suspicion()
        pool.connection_class = checked(pool.connection_class, self._suspicion)
        self._shared = SharedConnection(pool.make_connection, timeout_s)

    async def call(self, operation: str, run: Callable[..., Awaitable[Any]], *args: Any) -> Any:
        try:
            return await self._guard.judge(operation, partial(run, *args))
        except StoreUnavailable as error:
            self._suspect(error)
            raise

    def _suspect(self, error: StoreUnavailable) -> None:
        if isinstance(error.__cause__, _CUT):
            self._suspicion.suspect_all()

    def ask(self, *command: bytes) -> asyncio.Future[Any]:
        return self._shared.ask(*command)

    def ask_together(self, commands: Iterable[Command]) -> asyncio.Future[list[Any]]:
        """Like `ask`, for several commands that the server runs in this order, whatever their keys are."""
        return self._shared.ask_together(commands)

    async def ask_reachable(self, commands: Iterable[Command]) -> list[Any]:
        await self.learn_incarnations(())
        return await self.ask_together(commands)

    async def ask_script(self, script: Script, keys: Sequence[bytes], args: Sequence[bytes]) -> Any:
        [reply] = await self.ask_scripts(script, [(keys, args)])
        return reply

    async def ask_scripts(
        self, script: Script, calls: Iterable[tuple[Sequence[bytes], Sequence[bytes]]]
    ) -> list[Any]:
        commands = [script.command(keys, args) for keys, args in calls]
        try:
            return await self.ask_together(commands)
        except NoScriptError:
            await self.ask(b"SCRIPT", b"LOAD", script.text)
            return await self.ask_together(commands)

    async def ask_scripts_at(
        self, script: Script, calls: Iterable[tuple[bytes, Sequence[bytes]]]
    ) -> list[Any]:
        return await self.ask_scripts(script, [((), args) for _, args in calls])

    async def ask_or_redirect(self, commands: Sequence[Command], script: Script | None) -> list[Any]:
        """Like `ask_together`, on a server of a cluster; a reply may also be a `Redirection`.

        `script` is the one that the commands call, if any.
        """
        replies = await self._shared.ask_together(commands, raises=False)
        if script is not None and any(isinstance(reply, NoScriptError) for reply in replies):
            await self.ask(b"SCRIPT", b"LOAD", script.text)
            replies = await self._shared.ask_together(commands, raises=False)
        for reply in replies:
            if isinstance(reply, Exception) and not isinstance(reply, Redirection):
                if _ELSEWHERE in str(reply):
                    raise KeysElsewhere from reply
                raise reply
        return replies

    async def call_in_incarnation(self, operation: str, run: Callable[[NameOf], Awaitable[Any]]) -> Any:
        # A connection to a restarted server learns the new incarnation before it carries a command.
        # So if the incarnation is unchanged after the reply, it is the one of the server that
        # replied.
        for _ in range(INCARNATION_TRIES):
            await self.learn()
            incarnation = self.incarnation
            result = await self.call(operation, run, _names_in(incarnation))
            if incarnation == self.incarnation:
                return result
        raise StoreUnavailable(self._store, operation, "the server keeps restarting")

    def incarnation_of(self, key: bytes) -> bytes:
        return self.incarnation

    async def learn_incarnations(self, keys: Sequence[bytes]) -> None:
        if self._is_incarnation_due():
            self._learned(await self.ask(b"INFO", *INFO_SECTIONS))

    async def learn(self) -> None:
        """Learn the incarnation, if it is not known, or not lately; raises StoreUnavailable."""
        if self._is_incarnation_due():
            await self.call("INFO", self.learn_incarnations, ())

    def forget_incarnation(self) -> None:
        """Learn it again before the next use."""
        self._learned_s = float("-inf")

    def _is_incarnation_due(self) -> bool:
        return monotonic() - self._learned_s > LEARN_AGAIN_S

    def _learned(self, info: Any) -> None:
        self.incarnation = _incarnation(info)
        self._learned_s = monotonic()

    def together(self, keys: Sequence[bytes]) -> Iterable[Sequence[int]]:
        return [range(len(keys))] if keys else []

    async def by_server(self, keys: Sequence[bytes]) -> Iterable[Sequence[int]]:
        return self.together(keys)

    async def servers(self, keys: Sequence[bytes] | None = None) -> "Sequence[RedisServer]":
        return [self]

    async def close(self) -> None:
        await self._shared.close()

    async def _connected(self, connection: Connection) -> None:
        await connection.on_connect()
        await connection.send_command("INFO", *INFO_SECTIONS)
        self._learned(await connection.read_response())
        self._suspicion.connected(connection)


def _incarnation(info: Any) -> bytes:
    text = info.decode() if isinstance(info, bytes) else str(info)
    facts = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
    if not all(facts.get(name) for name in IDS):
        raise Disconnected(f"the server does not tell its {' and '.join(IDS)}")
    each = INCARNATION_BYTES // len(IDS)
    return "".join(facts[name][:each] for name in IDS).encode()


def _names_in(incarnation: bytes) -> NameOf:
    async def name(prefix: bytes, key: bytes) -> bytes:
        return prefix + incarnation + key

    return name


def _is_malformed(error: Exception) -> bool:
    """Return whether our own code built the command wrongly; the server can never accept it.

    The subclasses of ResponseError are not malformed commands. They are refusals of a running
    server: out of memory, read-only, no permission, a part of a cluster that is down.
    """
    if isinstance(error, DataError | ClusterCrossSlotError):
        return True
    return type(error) is ResponseError and _MALFORMED.search(str(error)) is not None
