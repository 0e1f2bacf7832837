"""Dead-letter topics are read up to an offset, whatever is between; an outage is one."""

from collections.abc import Callable, Sequence
from time import monotonic
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError

from streams.core.dead_letters import DeadLetter
from streams.errors import StoreUnavailable
from streams.kafka.consuming.dead_letter_log import KafkaDeadLetterLog
from streams.kafka.offsets.offsets import Offsets
from streams.settings import KafkaSettings
from tests.unit.streams.jobs.dead_letters.letters import NOW_MS, letter
from topics.catalogue import LIKES
from topics.sizes import SIZES, Profile

SILENT_S = 0.05
CLIENT_IS_DOWN = KafkaError(KafkaError._TRANSPORT)


def record(offset: int) -> Any:
    headers = letter(offset).headers
    return SimpleNamespace(
        error=lambda: None,
        topic=lambda: "likes-dlq",
        partition=lambda: 0,
        offset=lambda: offset,
        timestamp=lambda: (1, NOW_MS),
        key=lambda: b"7",
        value=lambda: b"{",
        headers=lambda: list(headers),
    )


def failed(error: KafkaError, topic: str | None = "likes-dlq") -> Any:
    return SimpleNamespace(error=lambda: error, topic=lambda: topic)


END = failed(KafkaError(KafkaError._PARTITION_EOF))


class Client:
    """A consumer that returns `batches`, then nothing."""

    def __init__(self, batches: Sequence[Sequence[Any]]) -> None:
        self.batches = list(batches)
        self.assigned: list[Any] = []
        self.is_closed = False

    def __call__(self, _configuration: object) -> "Client":
        return self

    def assign(self, partitions: list[Any]) -> None:
        self.assigned = partitions

    def consume(self, _count: int, _timeout_s: float) -> list[Any]:
        assert not self.is_closed
        return list(self.batches.pop(0)) if self.batches else []

    def close(self) -> None:
        self.is_closed = True


def log_of(client: Client, clock_s: Callable[[], float] = monotonic) -> KafkaDeadLetterLog:
    return KafkaDeadLetterLog(
        KafkaSettings(namespace="t1."),
        Offsets(KafkaSettings()),
        SIZES[Profile.LOCAL],
        silent_s_max=SILENT_S,
        clock_s=clock_s,
        new_consumer=client,
    )


async def read(client: Client, offsets: range) -> list[Sequence[DeadLetter]]:
    return [letters async for letters in log_of(client).read(LIKES, 0, offsets)]


async def test_letters_come_up_to_the_offset_and_no_further() -> None:
    """The client has fetched more than was asked for."""
    client = Client([[record(3), record(4)], [], [record(5), record(6), record(7)]])

    assert [[letter(3), letter(4)], [letter(5)]] == await read(client, range(3, 6))
    assert client.is_closed
    [assigned] = client.assigned
    assert ("t1.likes-dlq", 0, 3) == (assigned.topic, assigned.partition, assigned.offset)


async def test_the_last_offsets_may_have_no_record() -> None:
    """Then the end of the log follows."""
    assert [[letter(3)]] == await read(Client([[record(3)], [END]]), range(3, 6))
    assert [] == await read(Client([[END]]), range(3, 6))


async def test_nothing_is_asked_where_nothing_is() -> None:
    client = Client([])

    assert [] == await read(client, range(3, 3))
    assert [] == client.assigned


@pytest.mark.parametrize(
    "batches",
    [
        [],
        [[record(3)]],
        [[failed(KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED))]],
        [[failed(CLIENT_IS_DOWN, None)]],
    ],
    ids=["silence", "silence later", "refusal", "no broker"],
)
async def test_a_broker_that_does_not_answer_is_an_outage(batches: Sequence[Sequence[Any]]) -> None:
    """What was not read must not be taken for nothing."""
    client = Client(batches)

    with pytest.raises(StoreUnavailable):
        await read(client, range(3, 6))
    assert client.is_closed


async def test_the_time_in_which_nobody_reads_is_no_silence() -> None:
    """A replay at a low rate takes minutes for a batch. Then the broker may need a moment."""
    now_s, offsets = [0.0], []
    log = log_of(Client([[record(3)], [], [record(4)]]), lambda: now_s[0])

    async for letters in log.read(LIKES, 0, range(3, 5)):
        offsets += [read.offset for read in letters]
        now_s[0] += 2 * SILENT_S

    assert [3, 4] == offsets


async def test_one_broker_may_be_down() -> None:
    """Another one may lead the partition."""
    client = Client([[failed(CLIENT_IS_DOWN, None), record(3)]])

    assert [[letter(3)]] == await read(client, range(3, 4))
