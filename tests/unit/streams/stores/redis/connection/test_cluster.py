"""Commands get to the server that has their key, while slots move and servers come and go."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, cast

import pytest
from redis.asyncio.cluster import ClusterNode, NodesManager
from redis.crc import key_slot
from redis.exceptions import AskError, MovedError, TryAgainError

from streams.core.limits.breaker import Breaker
from streams.errors import StoreUnavailable
from streams.stores.redis.cache import RedisCache
from streams.stores.redis.connection import cluster
from streams.stores.redis.connection.client import Command, Script
from streams.stores.redis.connection.cluster import REDIRECTIONS_MAX, RedisCluster
from streams.stores.redis.connection.server import RedisServer

KEY = b"key"
SLOT = key_slot(KEY)


class FakeServer:
    """A server with keys, and with what it says of `SLOT`: the name of the server that has it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.keys: dict[bytes, bytes] = {}
        self.owner = "a"
        self.moving_to: str | None = None
        self.is_splitting = 0  # For so many commands.
        self.is_down = False
        self.incarnation = name.encode() * 16
        self.asked: list[Command] = []
        self.then: Callable[[], Awaitable[None]] | None = None

    async def learn(self) -> None:
        self._require()

    def forget_incarnation(self) -> None: ...

    async def close(self) -> None: ...

    async def call(self, operation: str, run: Callable[..., Awaitable[Any]], *args: Any) -> Any:
        self._require()
        reply = await run(*args)
        if self.then is not None:
            then, self.then = self.then, None
            await then()
        return reply

    async def ask_or_redirect(self, commands: Sequence[Command], script: Script | None) -> list[Any]:
        self.asked += commands
        replies: list[Any] = []
        asking = False
        for command in commands:
            replies.append(b"OK" if command == (b"ASKING",) else self._reply(command, asking=asking))
            asking = command == (b"ASKING",)
        return replies

    def _require(self) -> None:
        if self.is_down:
            raise StoreUnavailable("redis", "call", "down")

    def _reply(self, command: Command, *, asking: bool) -> Any:
        key = command[1]
        if self.owner != self.name and not asking:
            return MovedError(f"{SLOT} {self.owner}:1")
        if self.is_splitting:
            self.is_splitting -= 1
            return TryAgainError("Multiple keys request during rehashing of slot")
        if self.moving_to is not None and key not in self.keys:
            return AskError(f"{SLOT} {self.moving_to}:1")
        match command[0]:
            case b"SET":
                self.keys[key] = command[2]
                return b"OK"
            case b"UNLINK":
                return int(self.keys.pop(key, None) is not None)
            case b"MGET":
                return [self.keys.get(key)]
            case _:
                return self.keys.get(key)


class FakeCluster(RedisCluster):
    """`view` is the server whose view of the cluster is learned; `hold` delays the reply to that."""

    def __init__(self, *servers: FakeServer) -> None:
        super().__init__("redis://a:1", lambda: Breaker(failures_max=5, open_s=1.0), 1.0)
        self.fakes = {server.name: server for server in servers}
        self.view = servers[0]
        self.hold: asyncio.Event | None = None

    def _server_at(self, host: str, port: int) -> RedisServer:
        return cast(RedisServer, self.fakes[host])

    async def _ask_topology(self) -> None:
        owner = self.view.owner
        if self.hold is not None:
            await self.hold.wait()
        self._of_slot = {slot: self._server_at("b", 1) for slot in range(100)}
        self._of_slot[SLOT] = self._server_at(owner, 1)


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "AGAIN_S", 0.0)


@pytest.fixture
def servers() -> tuple[FakeServer, FakeServer]:
    return FakeServer("a"), FakeServer("b")


def move(*servers: FakeServer) -> None:
    """The slot and its keys move from the first server to the second."""
    source, target = servers
    target.keys |= source.keys
    source.keys.clear()
    for server in servers:
        server.owner, server.moving_to = target.name, None


async def test_a_moved_slot_is_learned_from_the_server_that_had_it(
    servers: tuple[FakeServer, FakeServer],
) -> None:
    """Without a look at the whole cluster: the next command goes to the new server at once."""
    one, other = servers
    client = FakeCluster(*servers)
    await client.ask(b"SET", KEY, b"1")
    move(one, other)

    assert await client.ask(b"GET", KEY) == b"1"
    one.asked.clear()
    assert await client.ask(b"GET", KEY) == b"1"
    assert one.asked == []


async def test_keys_that_have_moved_ahead_of_their_slot_are_asked_for_there_in_one_call(
    servers: tuple[FakeServer, FakeServer],
) -> None:
    one, other = servers
    client = FakeCluster(*servers)
    one.keys[KEY], other.keys[b"{key}1"], other.keys[b"{key}2"] = b"0", b"1", b"2"
    one.moving_to = "b"

    replies = await client.ask_together([(b"GET", KEY), (b"GET", b"{key}1"), (b"GET", b"{key}2")])

    assert replies == [b"0", b"1", b"2"]
    assert other.asked == [(b"ASKING",), (b"GET", b"{key}1"), (b"ASKING",), (b"GET", b"{key}2")]


@pytest.mark.parametrize(("times", "works"), [(REDIRECTIONS_MAX - 1, True), (REDIRECTIONS_MAX, False)])
async def test_a_split_slot_is_asked_again_a_bounded_number_of_times(
    servers: tuple[FakeServer, FakeServer], times: int, works: bool
) -> None:
    one, _ = servers
    client = FakeCluster(*servers)
    one.keys[KEY], one.is_splitting = b"1", times

    if works:
        assert await client.ask(b"GET", KEY) == b"1"
    else:
        with pytest.raises(StoreUnavailable, match="redirected again"):
            await client.ask(b"GET", KEY)


async def test_servers_that_send_a_command_to_each_other_do_not_hold_it_for_ever(
    servers: tuple[FakeServer, FakeServer],
) -> None:
    one, other = servers
    one.owner, other.owner = "b", "a"

    with pytest.raises(StoreUnavailable, match="redirected again"):
        await FakeCluster(*servers).ask(b"GET", KEY)


async def test_one_server_that_is_away_leaves_the_others_replies(
    servers: tuple[FakeServer, FakeServer],
) -> None:
    one, other = servers
    client = FakeCluster(*servers)
    beside = next(key for key in map(b"%d".__mod__, range(10_000)) if key_slot(key) < 100)
    one.keys[KEY], one.is_down = b"1", True
    other.owner, other.keys[beside] = "b", b"2"

    away, there = await client.ask_reachable([(b"GET", KEY), (b"GET", beside)])

    assert isinstance(away, StoreUnavailable)
    assert there == b"2"
    with pytest.raises(StoreUnavailable):
        await client.ask_together([(b"GET", KEY), (b"GET", beside)])
    with pytest.raises(StoreUnavailable):
        await client.ask_reachable([(b"GET", KEY)])


@pytest.mark.law("L2")
async def test_a_late_word_of_the_time_before_a_move_lets_no_invalidation_fail(
    servers: tuple[FakeServer, FakeServer],
) -> None:
    """A process asks who has the slot; the reply, which is from before the move, comes after its command was
    sent on to the new server. The value is gone all the same."""
    one, other = servers
    client = FakeCluster(*servers)
    cache = RedisCache(client, namespace="{key}")
    await cache.invalidate([b"first"])
    one.keys[b"{key}zfirst"] = b"V" + one.incarnation + b"old"
    client.hold = asyncio.Event()
    learning = client._learn()
    await asyncio.sleep(0)
    move(one, other)

    async def arrive() -> None:
        assert client.hold is not None
        client.hold.set()
        await learning

    other.then = arrive
    await cache.invalidate([b"first"])

    assert other.keys == {}


async def test_what_a_server_does_not_know_stays_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that has just started may know a part of the cluster. The connections to the others stay."""
    client = RedisCluster("redis://a:1", lambda: Breaker(failures_max=5, open_s=1.0), 1.0)
    known = {slot: [ClusterNode(host, 1)] for slot, host in enumerate("abc")}

    async def initialize(manager: NodesManager) -> None:
        manager.slots_cache = known

    monkeypatch.setattr(NodesManager, "initialize", initialize)
    first, second, third = await client.servers()
    known = {0: [ClusterNode("c", 1)]}

    await client._learn()
    assert [client._of_slot[slot] for slot in range(3)] == [third, second, third]
    assert set(client._servers.values()) == {second, third}
    assert await client.servers() == [third, second]
    assert first not in client._servers.values()
    await client.close()


async def test_a_closed_client_asks_nobody(servers: tuple[FakeServer, FakeServer]) -> None:
    one, _ = servers
    client = FakeCluster(*servers)
    await client.ask(b"GET", KEY)
    await client.close()
    one.is_down = True

    with pytest.raises(StoreUnavailable):
        await client.ask(b"GET", KEY)

    assert client._learning is not None
    assert client._learning.done()
