"""Marks of removed edges of which nothing was stored, in Redis.

A lost Redis loses the marks. An event that is on its way then counts as later than the removal.
"""

from collections.abc import Sequence

from schemas.ids import UserId, pack_id
from streams.core.edges import OutgoingEdge
from streams.ports.edges import RemovalMarks
from streams.stores.redis.connection.client import RedisClient

_LETTERS = {OutgoingEdge.FOLLOWING: b"f", OutgoingEdge.LIKES: b"l"}


class RedisRemovalMarks(RemovalMarks):
    """A key for each edge, with the time in microseconds, decimal. It expires after `ttl_s`."""

    def __init__(self, client: RedisClient, *, namespace: str, ttl_s: int) -> None:
        self._client = client
        self._prefix = namespace.encode() + b"u"
        self._ttl = b"%d" % ttl_s

    async def put(self, kind: OutgoingEdge, member: UserId, owner: int, time_us: int) -> None:
        command = (b"SET", self._name(kind, member, owner), b"%d" % time_us, b"EX", self._ttl)
        await self._client.call("mark removed", self._client.ask, *command)

    async def times(self, kind: OutgoingEdge, edges: Sequence[tuple[UserId, int]]) -> list[int | None]:
        if not edges:
            return []
        commands = [(b"GET", self._name(kind, *edge)) for edge in edges]
        marks = await self._client.call("get removed", self._client.ask_together, commands)
        return [None if mark is None else int(mark) for mark in marks]

    def _name(self, kind: OutgoingEdge, member: UserId, owner: int) -> bytes:
        return self._prefix + _LETTERS[kind] + pack_id(member) + pack_id(owner)
