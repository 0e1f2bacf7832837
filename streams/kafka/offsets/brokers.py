"""Ask each broker for something small, to learn which of them do not respond."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from time import monotonic
from typing import Any

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError
from aiokafka.protocol.metadata import MetadataRequest

from streams.errors import StoreUnavailable
from streams.kafka.clients import STORE, aiokafka_client
from streams.settings import KafkaSettings


class BrokerProbe:
    """One client for all brokers, which connects when it is first used; `new_client` makes it.

    `clock_s` is monotonic.
    """

    def __init__(
        self,
        settings: KafkaSettings,
        *,
        timeout_s: float,
        new_client: Callable[..., Any] = AIOKafkaClient,
        clock_s: Callable[[], float] = monotonic,
    ) -> None:
        self._settings = settings
        self._timeout_s = timeout_s
        self._new_client = new_client
        self._clock_s = clock_s
        self._client: Any = None

    async def response_times_s(self) -> dict[str, float | None]:
        """Return by `host:port` how long each broker of the cluster took; None if it did not respond in time.

        A broker that left the cluster is not among them.

        Raises:
            StoreUnavailable: No broker responded, so nobody knows which there are.
        """
        client = await self._connected()
        brokers = client.cluster.brokers()
        # Beside, because it may ask the broker that hangs; so a new broker is known at the next call.
        _, *took_s = await asyncio.gather(
            self._update(client), *(self._ask(client, broker.nodeId) for broker in brokers)
        )
        return {
            f"{broker.host}:{broker.port}": seconds for broker, seconds in zip(brokers, took_s, strict=True)
        }

    async def close(self) -> None:
        """Close the client."""
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    async def _connected(self) -> Any:
        if self._client is None:
            # Less than the time for which a call waits: only its own time-out makes the client close a
            # connection that does not respond, and connect again.
            request_ms = int(self._timeout_s * 1_000 / 2)
            client = self._new_client(**aiokafka_client(self._settings), request_timeout_ms=request_ms)
            try:
                async with asyncio.timeout(self._timeout_s):
                    await client.bootstrap()
            except (KafkaError, OSError, TimeoutError) as error:
                await client.close()
                raise StoreUnavailable(STORE, "brokers", f"{type(error).__name__} {error}") from error
            self._client = client
        return self._client

    async def _update(self, client: Any) -> None:
        """Learn which brokers there are; if that fails, they are those that the client knows."""
        with suppress(KafkaError, OSError, TimeoutError):
            async with asyncio.timeout(self._timeout_s):
                await client.force_metadata_update()

    async def _ask(self, client: Any, broker: int) -> float | None:
        began_s = self._clock_s()
        try:
            async with asyncio.timeout(self._timeout_s):
                await client.send(broker, MetadataRequest([]))
        except (KafkaError, OSError, TimeoutError):
            return None
        return self._clock_s() - began_s
