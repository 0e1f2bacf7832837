"""The token buckets that all processes share, in Redis."""

from streams.core.limits.rates import Rate
from streams.ports.rates import SharedRates
from streams.stores.redis.connection.client import RedisClient, load_script


class RedisSharedRates(SharedRates):
    """One hash for each bucket that is not full; the server's clock refills it."""

    def __init__(self, client: RedisClient, *, namespace: str) -> None:
        self._client = client
        self._prefix = f"{namespace}rate:"
        self._spend = load_script("rate_spend")

    async def spend(self, bucket: str, tokens: int, rate: Rate) -> float:
        keys = [f"{self._prefix}{bucket}".encode()]
        args = [f"{rate.per_s:.6f}".encode(), b"%d" % rate.burst, b"%d" % tokens]
        return float(
            await self._client.call("rates", self._client.ask_script, self._spend, keys, args),
        )
