"""A Redis Cluster for asyncio: which server has a key, and what to do while slots move.

redis-py's cluster client reads which server has which slot. Commands go over a connection of our own to
each server (`server.py`), whose deadline, breaker and incarnation are that server's alone.
"""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping, Sequence
from time import monotonic
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from redis.asyncio.cluster import ClusterNode
from redis.asyncio.cluster import RedisCluster as Topology
from redis.crc import key_slot
from redis.exceptions import AskError, MovedError, RedisClusterException, RedisError
from redis.maint_notifications import MaintNotificationsConfig

from streams.core.limits.breaker import Breaker
from streams.errors import StoreUnavailable
from streams.metrics import BREAKER
from streams.stores.guard import StoreGuard
from streams.stores.redis.connection.client import (
    INCARNATION_TRIES,
    STORE,
    Command,
    NameOf,
    RedisClient,
    Script,
)
from streams.stores.redis.connection.server import Redirection, RedisServer

# So often a command is sent again while a slot moves, or while the servers do not agree on who has it.
REDIRECTIONS_MAX = 8
AGAIN_S = 0.02
# A server that fails may have been replaced: so often they are asked who has which slot, at most.
LEARN_EVERY_S = 0.5
# Each server that is asked has this share of the time, because the first one may be the one that hangs.
SHARE = 1 / 3


class RedisCluster(RedisClient):
    """The primaries of one cluster, each with a client of its own."""

    is_cluster = True

    def __init__(self, url: str, make_breaker: Callable[[], Breaker], timeout_s: float) -> None:
        """`url` has addresses of some of the servers, with commas between, and the credentials of all."""
        self._url = urlsplit(url)
        self._make_breaker = make_breaker
        self._timeout_s = timeout_s
        first, *others = self._url.netloc.rpartition("@")[2].split(",")
        self._topology = Topology.from_url(
            self._url_of(first),
            startup_nodes=[
                ClusterNode(host, int(port)) for host, _, port in (other.rpartition(":") for other in others)
            ],
            socket_timeout=timeout_s * SHARE,
            socket_connect_timeout=timeout_s * SHARE,
            require_full_coverage=False,
            # The given addresses stay good: all servers may come back with others behind the same name.
            dynamic_startup_nodes=False,
            maint_notifications_config=MaintNotificationsConfig(enabled=False),
        )
        self._guard = StoreGuard(
            STORE,
            make_breaker(),
            timeout_s=timeout_s,
            errors=(RedisError, RedisClusterException, OSError),
        )
        self._servers: dict[str, RedisServer] = {}
        self._of_slot: dict[int, RedisServer] = {}
        self._learning: asyncio.Task[None] | None = None
        self._learned_s = float("-inf")
        self._is_closed = False

    async def call(self, operation: str, run: Callable[..., Awaitable[Any]], *args: Any) -> Any:
        return await run(*args)  # The guard of each server judges what is sent to it.

    async def ask(self, *command: bytes) -> Any:
        [reply] = await self.ask_together([command])
        return reply

    async def ask_together(self, commands: Iterable[Command]) -> list[Any]:
        return _raised(await self._ask_each([(_key_of(command), command) for command in commands], None))

    async def ask_reachable(self, commands: Iterable[Command]) -> list[Any]:
        replies = await self._ask_each([(_key_of(command), command) for command in commands], None)
        if all(isinstance(reply, StoreUnavailable) for reply in replies):
            _raised(replies)
        return replies

    async def ask_script(self, script: Script, keys: Sequence[bytes], args: Sequence[bytes]) -> Any:
        [reply] = await self.ask_scripts(script, [(keys, args)])
        return reply

    async def ask_scripts(
        self, script: Script, calls: Iterable[tuple[Sequence[bytes], Sequence[bytes]]]
    ) -> list[Any]:
        commands = [(keys[0], script.command(keys, args)) for keys, args in calls]
        return _raised(await self._ask_each(commands, script))

    async def ask_scripts_at(
        self, script: Script, calls: Iterable[tuple[bytes, Sequence[bytes]]]
    ) -> list[Any]:
        # If a key of a slot that is moving were declared, the server could pass the call on to the other
        # one, which would take the keys that it has not got yet for missing.
        commands = [(key, script.command((), args)) for key, args in calls]
        return _raised(await self._ask_each(commands, script))

    async def call_in_incarnation(self, operation: str, run: Callable[[NameOf], Awaitable[Any]]) -> Any:
        for _ in range(INCARNATION_TRIES):
            used: dict[int, tuple[RedisServer, bytes]] = {}
            await self._ready()
            result = await run(self._names(used))
            # A slot may have moved meanwhile.
            if all(
                self._of_slot.get(slot) is server and server.incarnation == incarnation
                for slot, (server, incarnation) in used.items()
            ):
                return result
        raise StoreUnavailable(STORE, operation, "servers keep restarting, or slots moving")

    def incarnation_of(self, key: bytes) -> bytes:
        server = self._of_slot.get(key_slot(key))
        return b"" if server is None else server.incarnation

    async def learn_incarnations(self, keys: Sequence[bytes]) -> None:
        await asyncio.gather(*(server.learn() for server in await self.servers(keys)))

    def together(self, keys: Sequence[bytes]) -> Iterable[Sequence[int]]:
        by_slot: dict[int, list[int]] = defaultdict(list)
        for at, key in enumerate(keys):
            by_slot[key_slot(key)].append(at)
        return by_slot.values()

    async def by_server(self, keys: Sequence[bytes]) -> Sequence[Sequence[int]]:
        await self._ready()
        by_server: dict[RedisServer, list[int]] = defaultdict(list)
        for at, key in enumerate(keys):
            by_server[self._server_of(key_slot(key))].append(at)
        return list(by_server.values())

    async def servers(self, keys: Sequence[bytes] | None = None) -> Sequence[RedisServer]:
        await self._ready()
        if keys is None:
            return list(dict.fromkeys(self._of_slot.values()))
        return list(dict.fromkeys(self._server_of(key_slot(key)) for key in keys))

    async def close(self) -> None:
        self._is_closed = True
        if self._learning is not None:
            self._learning.cancel()
            await asyncio.gather(self._learning, return_exceptions=True)
        await asyncio.gather(*(server.close() for server in self._servers.values()))
        # Its own `aclose` closes nothing, because it did not send a command.
        for nodes in ("nodes_cache", "startup_nodes"):
            await self._topology.nodes_manager.aclose(nodes)

    async def _ask_each(self, commands: Sequence[tuple[bytes, Command]], script: Script | None) -> list[Any]:
        """Return the reply to each command, from the server that has its key, which is beside it.

        It is a `StoreUnavailable` if that server does not respond.
        """
        await self._ready()
        replies: dict[int, Any] = {}
        left: Sequence[int] = range(len(commands))
        for _ in range(REDIRECTIONS_MAX):
            asked: dict[RedisServer, list[tuple[int, Command]]] = defaultdict(list)
            for at in left:
                key, command = commands[at]
                asked[self._server_of(key_slot(key))].append((at, command))
            replies |= await self._ask_servers(asked, script)
            left = [at for at in left if isinstance(replies[at], Redirection)]
            if left:
                replies |= await self._follow({at: (commands[at][1], replies[at]) for at in left}, script)
                left = [at for at in left if isinstance(replies[at], Redirection)]
            if not left:
                return [replies[at] for at in range(len(commands))]
        raise StoreUnavailable(STORE, _name_of(commands[left[0]][1]), f"redirected again: {replies[left[0]]}")

    async def _ask_servers(
        self,
        asked: Mapping[RedisServer, Sequence[tuple[int, Command]]],
        script: Script | None,
        *,
        asking: bool = False,
    ) -> dict[int, Any]:
        """Send numbered commands to servers; with `asking`, on keys that are moving there."""
        replies = await asyncio.gather(
            *(
                self._ask_server(server, [command for _, command in numbered], script, asking=asking)
                for server, numbered in asked.items()
            ),
            return_exceptions=True,
        )
        by_number: dict[int, Any] = {}
        for numbered, theirs in zip(asked.values(), replies, strict=True):
            if isinstance(theirs, StoreUnavailable):
                self._learn_soon()  # It may have been replaced.
                theirs = [theirs] * len(numbered)
            elif isinstance(theirs, BaseException):
                raise theirs
            by_number |= zip((number for number, _ in numbered), theirs, strict=True)
        return by_number

    async def _ask_server(
        self, server: RedisServer, commands: Sequence[Command], script: Script | None, *, asking: bool
    ) -> list[Any]:
        if asking:
            commands = [each for command in commands for each in ((b"ASKING",), command)]
        try:
            await server.learn()
            replies: list[Any] = await server.call(
                _name_of(commands[-1]), server.ask_or_redirect, commands, script
            )
        except asyncio.CancelledError:
            self._learn_soon()  # The caller did not want to wait longer. The server may have been replaced.
            raise
        return replies[1::2] if asking else replies

    async def _follow(
        self, redirected: Mapping[int, tuple[Command, Redirection]], script: Script | None
    ) -> dict[int, Any]:
        """Learn which slots have moved; return the replies to commands on keys that are moving just now."""
        moving: dict[RedisServer, list[tuple[int, Command]]] = defaultdict(list)
        for at, (command, redirection) in redirected.items():
            if isinstance(redirection, MovedError):
                if slot_server := self._of_slot.get(redirection.slot_id):
                    slot_server.forget_incarnation()  # It may be a primary again later.
                self._of_slot[redirection.slot_id] = self._server_at(redirection.host, redirection.port)
            elif isinstance(redirection, AskError):
                moving[self._server_at(redirection.host, redirection.port)].append((at, command))
        replies = await self._ask_servers(moving, script, asking=True)
        if len(replies) < len(redirected):
            self._learn_soon()
            await asyncio.sleep(AGAIN_S)
        return replies

    def _server_of(self, slot: int) -> RedisServer:
        server = self._of_slot.get(slot)
        if server is None:
            self._learn_soon()
            raise StoreUnavailable(STORE, "CLUSTER SLOTS", f"no server has slot {slot}")
        return server

    def _server_at(self, host: str, port: int) -> RedisServer:
        address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        server = self._servers.get(address)
        if server is None:
            breaker, name = self._make_breaker(), f"{STORE} {address}"
            server = RedisServer(self._url_of(address), breaker, self._timeout_s, name)
            self._servers[address] = server
        return server

    def _url_of(self, address: str) -> str:
        """Return the URL of one server."""
        credentials, at, _ = self._url.netloc.rpartition("@")
        return urlunsplit(self._url._replace(netloc=f"{credentials}{at}{address}"))

    def _names(self, used: MutableMapping[int, tuple[RedisServer, bytes]]) -> NameOf:
        """Return a function that also notes in whose incarnation it has named a key, by its slot."""

        async def name(prefix: bytes, key: bytes) -> bytes:
            tagged = b"%b{%b}" % (prefix, key)
            slot = key_slot(tagged)
            server = self._server_of(slot)
            await server.learn()
            used[slot] = server, server.incarnation
            return tagged + server.incarnation

        return name

    async def _ready(self) -> None:
        """Return when it is known which server has which slot."""
        if not self._of_slot:
            await asyncio.shield(self._learn())

    def _learn_soon(self) -> None:
        if not self._is_closed and monotonic() - self._learned_s >= LEARN_EVERY_S:
            # Nobody waits for it. If it fails, the next command that fails begins it again.
            self._learn().add_done_callback(lambda done: done.cancelled() or done.exception())

    def _learn(self) -> "asyncio.Task[None]":
        if self._learning is None or self._learning.done():
            self._learning = asyncio.create_task(self._ask_topology(), name="redis cluster topology")
        return self._learning

    async def _ask_topology(self) -> None:
        """Ask the servers which of them has which slot; raises StoreUnavailable."""
        self._learned_s = monotonic()
        await self._guard.run("CLUSTER SLOTS", self._topology.nodes_manager.initialize)
        slots = self._topology.nodes_manager.slots_cache
        # The same primary for thousands of slots, so each is looked up once.
        servers = {
            name: self._server_at(node.host, int(node.port))
            for name, node in {primary.name: primary for primary, *_ in slots.values()}.items()
        }
        # A server that has just started may not know all slots; of those nothing new is known.
        self._of_slot |= {slot: servers[primary.name] for slot, (primary, *_) in slots.items()}
        await self._forget_all_but(self._of_slot.values())

    async def _forget_all_but(self, servers: Iterable[RedisServer]) -> None:
        """Close the connections to servers that have left, and forget the state of their breakers."""
        there = set(servers)
        for address, server in list(self._servers.items()):
            if server not in there:
                del self._servers[address]
                await server.close()
                BREAKER.remove(f"{STORE} {address}")


def _raised(replies: list[Any]) -> list[Any]:
    """Return the replies, or raise the first `StoreUnavailable` among them."""
    for reply in replies:
        if isinstance(reply, StoreUnavailable):
            raise reply
    return replies


def _key_of(command: Command) -> bytes:
    return command[2 if command[0] == b"MEMORY" else 1]


def _name_of(command: Command) -> str:
    return command[0].decode()
