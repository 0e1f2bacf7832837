"""The budget of rebuilds that all processes share, in Redis."""

from streams.ports.timelines import RebuildBudget
from streams.stores.redis.connection.client import RedisClient, load_script


class RedisRebuildBudget(RebuildBudget):
    """Allows at most `per_s_max` rebuilds in any second, over all processes."""

    def __init__(self, client: RedisClient, *, namespace: str, per_s_max: int) -> None:
        self._client = client
        self._key = f"{namespace}budget:rebuilds".encode()
        # In any second at most the burst plus the refill of one second is taken, so their sum is
        # the limit.
        burst = max(1, per_s_max // 10)
        self._args = [b"%d" % max(1, per_s_max - burst), b"%d" % burst]
        self._take = load_script("budget_take")

    async def take(self) -> bool:
        return bool(
            await self._client.call("budget", self._client.ask_script, self._take, [self._key], self._args)
        )
