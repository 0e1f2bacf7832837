"""The limit on uploads that a user begins a minute, in Redis."""

from schemas.ids import UserId
from streams.ports.uploads import UploadLimit
from streams.stores.redis.connection.client import RedisClient, load_script

WINDOW_MS = 60_000


class RedisUploadLimit(UploadLimit):
    """Allows at most `per_minute` uploads of one user in any minute, over all processes."""

    def __init__(self, client: RedisClient, *, namespace: str, per_minute: int) -> None:
        self._client = client
        self._prefix = f"{namespace}uploads:"
        self._per_minute = per_minute
        self._take = load_script("upload_take")

    async def take(self, user: UserId, name: str) -> int | None:
        args = [name.encode(), b"%d" % self._per_minute, b"%d" % WINDOW_MS]
        wait_ms = await self._client.call(
            "uploads", self._client.ask_script, self._take, [self._key(user)], args
        )
        return int(wait_ms) or None

    async def give_back(self, user: UserId, name: str) -> None:
        await self._client.call("uploads", self._client.ask, b"ZREM", self._key(user), name.encode())

    def _key(self, user: UserId) -> bytes:
        return f"{self._prefix}{user}".encode()
