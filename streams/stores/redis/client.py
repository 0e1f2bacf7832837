"""Redis for asyncio: bounded connections, a deadline, a breaker, and the server's incarnation.

A Redis server may lose its data, or restart with older data. Every start of a server has a new run
id. This client asks for it on each new connection and calls its first 16 characters the
incarnation. Keys that must not be read after a restart carry the incarnation in their name.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from importlib.resources import files
from typing import Any

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.connection import Connection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.commands.core import AsyncScript
from redis.exceptions import ConnectionError as Disconnected
from redis.exceptions import DataError, NoScriptError, RedisError, ResponseError
from redis.exceptions import TimeoutError as NoReply
from redis.maint_notifications import MaintNotificationsConfig

from streams.core.limits.breaker import Breaker
from streams.errors import StoreUnavailable
from streams.stores.guard import StoreGuard
from streams.stores.redis.idle import Suspicion, checked
from streams.stores.redis.shared import SharedConnection

STORE = "redis"
CONNECTIONS_MAX = 64
# If the incarnation changes three times within one operation, the server counts as down.
INCARNATION_TRIES = 3
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


class RedisClient:
    """The connections of one process.

    Raises `StoreUnavailable` in an outage, and the driver's error if our own code built a wrong
    command.
    """

    def __init__(self, url: str, breaker: Breaker, timeout_s: float) -> None:
        self._guard = StoreGuard(
            STORE,
            breaker,
            timeout_s=timeout_s,
            errors=(RedisError, OSError),
            is_final=_is_malformed,
        )
        self._incarnation = b""
        pool = BlockingConnectionPool.from_url(
            url,
            max_connections=CONNECTIONS_MAX,
            timeout=timeout_s,
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
        self.redis: Redis = Redis.from_pool(pool)
        self._shared = SharedConnection(pool.make_connection, timeout_s)

    def script(self, name: str) -> AsyncScript:
        """Register the script `lua/NAME.lua`, which is called by its hash."""
        return self.redis.register_script((files("streams.stores.redis") / "lua" / f"{name}.lua").read_text())

    async def call(self, operation: str, run: Callable[..., Awaitable[Any]], *args: Any, **named: Any) -> Any:
        """Return the result of `run(*args, **named)`, which is one round trip.

        Raises:
            StoreUnavailable: See `StoreGuard.run`.
        """
        try:
            return await self._guard.run(operation, run, *args, **named)
        except StoreUnavailable as error:
            self._suspect(error)
            raise

    def _suspect(self, error: StoreUnavailable) -> None:
        if isinstance(error.__cause__, _CUT):
            self._suspicion.suspect_all()

    def ask(self, *command: bytes) -> asyncio.Future[Any]:
        """Send one plain command over the connection that all callers share; use it within `call`.

        Replies come in the order of the commands.
        """
        return self._shared.ask(*command)

    def ask_together(self, commands: Iterable[tuple[bytes, ...]]) -> asyncio.Future[list[Any]]:
        """Like `ask`, for several commands that the server runs in this order."""
        return self._shared.ask_together(commands)

    async def ask_script(self, script: AsyncScript, keys: Sequence[bytes], args: Sequence[bytes]) -> Any:
        """Like `ask`, for a fast script. A slow script would delay all users of the connection."""
        [reply] = await self.ask_scripts(script, [(keys, args)])
        return reply

    async def ask_scripts(
        self, script: AsyncScript, calls: Iterable[tuple[Sequence[bytes], Sequence[bytes]]]
    ) -> list[Any]:
        """Like `ask_script`, for several calls, each with its keys and arguments. It may run one twice."""
        sha = script.sha.encode()
        commands = [(b"EVALSHA", sha, b"%d" % len(keys), *keys, *args) for keys, args in calls]
        try:
            return await self.ask_together(commands)
        except NoScriptError:
            await self.ask(b"SCRIPT", b"LOAD", str(script.script).encode())
            return await self.ask_together(commands)

    async def call_in_incarnation(self, operation: str, run: Callable[[bytes], Awaitable[Any]]) -> Any:
        """Like `call`, for commands of `ask`; `run` gets the incarnation of the server that executes it.

        A connection to a restarted server learns the new incarnation before it carries a command.
        So if the incarnation is unchanged after the reply, it is the one of the server that
        replied.
        """
        for _ in range(INCARNATION_TRIES):
            incarnation = self._incarnation
            if incarnation:
                try:
                    # Every command of `ask` has the client's deadline.
                    result = await self._guard.judge(operation, partial(run, incarnation))
                except StoreUnavailable as error:
                    self._suspect(error)
                    raise
                if incarnation == self._incarnation:
                    return result
            else:
                await self.call("PING", self._ping)
        raise StoreUnavailable(STORE, operation, "the server keeps restarting")

    async def close(self) -> None:
        await self._shared.close()
        await self.redis.aclose()
        await self.redis.connection_pool.disconnect()

    async def _ping(self) -> None:
        await self.redis.ping()

    async def _connected(self, connection: Connection) -> None:
        await connection.on_connect()
        await connection.send_command("INFO", "server")
        answer: Any = await connection.read_response()
        text = answer.decode() if isinstance(answer, bytes) else str(answer)
        run_id = next((line for line in text.splitlines() if line.startswith("run_id:")), None)
        if run_id is None:
            raise Disconnected("the server does not tell its run id")
        self._suspicion.connected(connection)
        self._incarnation = run_id.removeprefix("run_id:").strip()[:16].encode()


def _is_malformed(error: Exception) -> bool:
    """Return whether our own code built the command wrongly; the server can never accept it.

    The subclasses of ResponseError are not malformed commands. They are refusals of a running
    server: out of memory, read-only, no permission, a part of a cluster that is down.
    """
    if isinstance(error, DataError):
        return True
    return type(error) is ResponseError and _MALFORMED.search(str(error)) is not None
