"""Some records of one partition: bounded in number and time."""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError

from streams.errors import StoreUnavailable
from streams.jobs.records import StoredRecord
from streams.kafka.consuming.record_log import KafkaRecordLog
from streams.settings import KafkaSettings


def record(offset: int) -> Any:
    return SimpleNamespace(
        error=lambda: None,
        offset=lambda: offset,
        timestamp=lambda: (1, 70),
        key=lambda: b"7",
        value=lambda: None,
        headers=lambda: [("ce_id", b"e")],
    )


def failed(code: int, topic: str | None = "likes") -> Any:
    return SimpleNamespace(error=lambda: KafkaError(code), topic=lambda: topic)


class Client:
    """A consumer that returns `messages`, then nothing; or with `error` fails at once."""

    def __init__(self, messages: Sequence[Any]) -> None:
        self.messages = list(messages)
        self.assigned: list[Any] = []
        self.is_closed = False
        self.configuration: dict[str, Any] = {}

    def __call__(self, configuration: dict[str, Any]) -> "Client":
        self.configuration = configuration
        return self

    def assign(self, partitions: list[Any]) -> None:
        self.assigned = partitions

    def poll(self, _timeout_s: float) -> Any:
        return self.messages.pop(0) if self.messages else None

    def close(self) -> None:
        self.is_closed = True


async def read(client: Client, *, records_max: int = 2) -> Sequence[StoredRecord]:
    log = KafkaRecordLog(KafkaSettings(), timeout_s=0.01, new_consumer=client)
    return await log.read("likes", 3, 10, records_max=records_max)


async def test_the_first_records_are_read_as_they_are() -> None:
    """The client reads committed records only, and is closed."""
    client = Client([record(10), record(12), record(13)])

    first, second = await read(client)
    assert (10, 12) == (first.offset, second.offset)
    assert (70, b"7", None, (("ce_id", b"e"),)) == (first.timestamp_ms, first.key, first.value, first.headers)
    assert client.is_closed
    assert "read_committed" == client.configuration["isolation.level"]
    [assigned] = client.assigned
    assert ("likes", 3, 10) == (assigned.topic, assigned.partition, assigned.offset)


async def test_the_log_may_end_before() -> None:
    """A broker that is away is no error while another one may lead the partition."""
    client = Client([failed(KafkaError._TRANSPORT, None), record(10), failed(KafkaError._PARTITION_EOF)])

    assert [10] == [found.offset for found in await read(client)]


@pytest.mark.parametrize("messages", [[], [failed(KafkaError.TOPIC_AUTHORIZATION_FAILED)]])
async def test_silence_and_refusals_are_an_outage(messages: list[Any]) -> None:
    client = Client(messages)

    with pytest.raises(StoreUnavailable):
        await read(client)
    assert client.is_closed
