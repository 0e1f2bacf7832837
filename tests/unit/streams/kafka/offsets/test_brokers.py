"""Each broker is asked by itself; one that hangs or is gone hides no other."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import KafkaConnectionError, NodeNotReadyError

from streams.errors import StoreUnavailable
from streams.kafka.offsets.brokers import BrokerProbe
from streams.settings import KafkaSettings

WITHIN_S = 3.0


class Client:
    """A cluster of three brokers, some of which are down or hang; `is_cut` of all of them."""

    def __init__(self) -> None:
        self.down: set[int] = set()
        self.hanging: set[int] = set()
        self.is_cut = False
        self.made = self.closed = self.updates = 0
        self.cluster = self

    def __call__(self, **configuration: Any) -> "Client":
        assert "127.0.0.1:9092" == configuration["bootstrap_servers"]
        self.made += 1
        return self

    async def bootstrap(self) -> None:
        if self.is_cut:
            raise KafkaConnectionError("down")

    async def close(self) -> None:
        self.closed += 1

    async def force_metadata_update(self) -> None:
        self.updates += 1
        if self.is_cut:
            raise KafkaConnectionError("down")

    def brokers(self) -> list[Any]:
        return [SimpleNamespace(nodeId=number, host=f"kafka-{number}", port=9_092) for number in (1, 2, 3)]

    async def send(self, broker: int, request: object) -> None:
        if self.is_cut or broker in self.down:
            raise NodeNotReadyError("down")
        if broker in self.hanging:
            await asyncio.Event().wait()


def probe_of(client: Client) -> BrokerProbe:
    return BrokerProbe(KafkaSettings(), timeout_s=0.05, new_client=client)


async def reached(probe: BrokerProbe) -> list[str]:
    async with asyncio.timeout(WITHIN_S):
        found = await probe.response_times_s()
    return [address for address, took_s in found.items() if took_s is not None]


async def test_each_broker_that_responds_is_reached() -> None:
    """The client is made once."""
    client = Client()
    probe = probe_of(client)
    assert ["kafka-1:9092", "kafka-2:9092", "kafka-3:9092"] == await reached(probe)
    client.down, client.hanging = {1}, {3}

    assert ["kafka-2:9092"] == await reached(probe)
    assert (1, 0, 2) == (client.made, client.closed, client.updates)
    await probe.close()
    assert 1 == client.closed


async def test_if_no_broker_responds_those_that_are_known_are_away() -> None:
    client = Client()
    probe = probe_of(client)
    await reached(probe)
    client.is_cut = True

    assert [] == await reached(probe)
    assert 3 == len(await probe.response_times_s())


async def test_before_any_broker_responded_nobody_knows_which_there_are() -> None:
    """The next reading tries again, with a new client."""
    client = Client()
    probe, client.is_cut = probe_of(client), True
    with pytest.raises(StoreUnavailable):
        await probe.response_times_s()
    client.is_cut = False

    assert 3 == len(await reached(probe))
    assert (2, 1) == (client.made, client.closed)
