"""Redis for asyncio: bounded, with a deadline, a breaker, and the name of the server's incarnation.

A Redis may be lost or come back older than it was. Every start of a server has a new
run id, which is asked for on each new connection, so whoever has spoken to a server
since it started knows its incarnation. Keys that must not survive a return to an
older state carry it in their name.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from importlib.resources import files
from time import monotonic
from typing import Any

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.connection import Connection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.commands.core import AsyncScript
from redis.exceptions import NoScriptError, RedisError, ResponseError

from streams.core.breaker import Breaker
from streams.errors import StoreUnavailable
from streams.metrics import BREAKER
from streams.stores.redis.shared import SharedConnection

STORE = "redis"
CONNECTIONS_MAX = 64
# A server whose incarnation changes three times within one operation is not up.
INCARNATION_TRIES = 3


class RedisClient:
    """One process's connections. Every failure to answer is `StoreUnavailable`."""

    def __init__(self, url: str, breaker: Breaker, timeout_s: float) -> None:
        self._breaker = breaker
        self._timeout_s = timeout_s
        self._incarnation = b""
        self._is_open = BREAKER.labels(STORE)  # Looked up once: that costs more than setting it.
        pool = BlockingConnectionPool.from_url(
            url,
            max_connections=CONNECTIONS_MAX,
            timeout=timeout_s,
            socket_timeout=timeout_s,
            socket_connect_timeout=timeout_s,
            # Repeating is the caller's: a silent retry would hide a new incarnation.
            retry=Retry(NoBackoff(), 0),
            redis_connect_func=self._connected,
        )
        self.redis: Redis = Redis.from_pool(pool)
        self._shared = SharedConnection(pool.make_connection, timeout_s)

    def script(self, name: str) -> AsyncScript:
        """The script `lua/NAME.lua`, called by its hash."""
        return self.redis.register_script((files("streams.stores.redis") / "lua" / f"{name}.lua").read_text())

    async def call(self, operation: str, run: Callable[..., Awaitable[Any]], *args: Any, **named: Any) -> Any:
        """The answer of `run(*args, **named)`, one round trip, within the time limit."""
        if not self._breaker.allows(monotonic()):
            raise StoreUnavailable(STORE, operation, "its breaker is open")
        try:
            async with asyncio.timeout(self._timeout_s):
                answer = await run(*args, **named)
        except (RedisError, OSError, TimeoutError) as error:
            if isinstance(error, ResponseError) and not _transient(error):
                raise  # We asked something wrong; waiting would not help.
            self._breaker.failed(monotonic())
            self._is_open.set(self._breaker.is_open)
            raise StoreUnavailable(STORE, operation, f"{type(error).__name__} {error}") from error
        self._breaker.succeeded()
        self._is_open.set(self._breaker.is_open)
        return answer

    def ask(self, *command: bytes) -> asyncio.Future[Any]:
        """The answer to one plain command, for `call`: over a connection that many share.

        What is asked for one after the other is answered in that order.
        """
        return self._shared.ask(*command)

    async def ask_script(self, script: AsyncScript, keys: Sequence[bytes], args: Sequence[bytes]) -> Any:
        """`ask` for a script that is quickly done; a long one would have all others wait for it."""
        command = (b"EVALSHA", script.sha.encode(), b"%d" % len(keys), *keys, *args)
        try:
            return await self.ask(*command)
        except NoScriptError:
            await self.ask(b"SCRIPT", b"LOAD", str(script.script).encode())
            return await self.ask(*command)

    async def call_in_incarnation(self, operation: str, run: Callable[[bytes], Awaitable[Any]]) -> Any:
        """`call` with the name of the incarnation that really answered.

        A connection to a restarted server learns its new name before it carries a
        command, so an unchanged name after the answer is the name of who answered.
        """
        for _ in range(INCARNATION_TRIES):
            incarnation = self._incarnation
            if incarnation:
                answer = await self.call(operation, run, incarnation)
                if incarnation == self._incarnation:
                    return answer
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
        run_id = next(line for line in text.splitlines() if line.startswith("run_id:"))
        self._incarnation = run_id.removeprefix("run_id:").strip()[:16].encode()


def _transient(error: ResponseError) -> bool:
    """Answers that say: not now. Out of memory and a replica among them."""
    return str(error).startswith(("LOADING", "BUSY", "MASTERDOWN", "READONLY", "OOM", "MISCONF", "TRYAGAIN"))
