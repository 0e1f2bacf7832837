"""The limit on uploads that a user begins a minute, in Redis."""

from schemas.ids import UserId
from streams.ports.uploads import UploadLimit
from streams.stores.redis.client import RedisClient

WINDOW_MS = 60_000


class RedisUploadLimit(UploadLimit):
    """Allows at most `per_minute` uploads of one user in any minute, over all processes."""

    def __init__(self, client: RedisClient, *, namespace: str, per_minute: int) -> None:
        self._client = client
        self._prefix = f"{namespace}uploads:"
        self._per_minute = per_minute
        self._take = client.script("upload_take")

    async def take(self, user: UserId, name: str) -> int | None:
        args = [name, self._per_minute, WINDOW_MS]
        wait_ms = int(await self._client.call("uploads", self._take, keys=[self._key(user)], args=args))
        return wait_ms or None

    async def give_back(self, user: UserId, name: str) -> None:
        await self._client.call("uploads", self._client.redis.zrem, self._key(user), name)

    def _key(self, user: UserId) -> str:
        return f"{self._prefix}{user}"
