"""What the stores ask of Redis: of one server (`server.py`), or of a cluster (`cluster.py`).

A Redis server may lose its data, restart with older data, or be replaced by a replica that is older. Each
start of a server has a new run id, and each server that becomes a primary a new replication id. The
beginnings of both are called the incarnation. What must not be read in another incarnation carries it.

In a cluster, the braces in a key are its hash tag: keys with the same text in braces are in one slot, and a
slot is on one server.
"""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha1
from importlib.resources import files
from typing import Any, Protocol

STORE = "redis"
INCARNATION_BYTES = 16
# If the incarnation changes three times within one operation, the server counts as down.
INCARNATION_TRIES = 3


class KeysElsewhere(Exception):
    """A script used a key whose slot its server does not have, or is giving away."""


Command = tuple[bytes, ...]
# The name of a key in the incarnation of its server, from a prefix and the rest of the key.
NameOf = Callable[[bytes, bytes], Awaitable[bytes]]


@dataclass(frozen=True, slots=True)
class Script:
    """A Lua script, which is called by its hash."""

    text: bytes
    sha: bytes

    def command(self, keys: Sequence[bytes], args: Iterable[bytes]) -> Command:
        return (b"EVALSHA", self.sha, b"%d" % len(keys), *keys, *args)


def load_script(name: str) -> Script:
    """Return the script `lua/NAME.lua`."""
    text = (files("streams.stores.redis") / "lua" / f"{name}.lua").read_bytes()
    return Script(text, sha1(text, usedforsecurity=False).hexdigest().encode())


class RedisClient(Protocol):
    """The connections of one process.

    Raises `StoreUnavailable` in an outage, and the driver's error if our own code built a wrong
    command. All commands are sent over connections that all callers share, so none may be slow.
    """

    is_cluster: bool

    async def call(self, operation: str, run: Callable[..., Awaitable[Any]], *args: Any) -> Any:
        """Return the result of `run(*args)`, where `run` is one of the methods below.

        Raises:
            StoreUnavailable: See `StoreGuard.run`.
        """

    def ask(self, *command: bytes) -> Awaitable[Any]:
        """Send one command, whose second word is its key; use it within `call`."""

    def ask_together(self, commands: Iterable[Command]) -> Awaitable[list[Any]]:
        """Like `ask`, for several commands; those on keys of one slot run in this order."""

    async def ask_reachable(self, commands: Iterable[Command]) -> list[Any]:
        """Like `ask_together`, but the reply from a server that does not respond is a `StoreUnavailable`.

        The incarnation of a server that responds is known afterwards.

        Raises:
            StoreUnavailable: No server responded.
        """

    async def ask_script(self, script: Script, keys: Sequence[bytes], args: Sequence[bytes]) -> Any:
        """Call a script on keys of one slot."""

    async def ask_scripts(
        self, script: Script, calls: Iterable[tuple[Sequence[bytes], Sequence[bytes]]]
    ) -> list[Any]:
        """Like `ask_script`, for several calls, each with its keys and arguments. It may run one twice."""

    async def ask_scripts_at(
        self, script: Script, calls: Iterable[tuple[bytes, Sequence[bytes]]]
    ) -> list[Any]:
        """Call a script that makes its keys itself, each time on the server of a key, with arguments.

        Raises:
            KeysElsewhere: Some of a script's keys are not there. Some of the calls were made, also in part.
        """

    async def call_in_incarnation(self, operation: str, run: Callable[[NameOf], Awaitable[Any]]) -> Any:
        """Like `call`, for a function of our own; its commands use the names that it gets.

        All of it may be repeated. When it returns, the names were those in the incarnations of the servers
        that replied.
        """

    def incarnation_of(self, key: bytes) -> bytes:
        """Return the incarnation of the server of a key, as it is known; empty before the first reply."""

    async def learn_incarnations(self, keys: Sequence[bytes]) -> None:
        """Learn those of the keys' servers that are not known, or not lately; use it within `call`."""

    def together(self, keys: Sequence[bytes]) -> Iterable[Sequence[int]]:
        """Return which of the keys one command may have: lists of indexes, each index once."""

    async def by_server(self, keys: Sequence[bytes]) -> Iterable[Sequence[int]]:
        """Return the indexes of the keys that are on one server, for each server."""

    async def servers(self, keys: Sequence[bytes] | None = None) -> "Sequence[RedisClient]":
        """Return a client for each server that has some of the keys; for all servers without `keys`."""

    async def close(self) -> None: ...
