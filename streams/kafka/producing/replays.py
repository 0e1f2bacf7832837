"""Publish what operators do: replays of dead letters, and what they did on the topic `operations`."""

from collections.abc import Sequence
from typing import Protocol

from schemas.dead_letter_headers import replay_headers
from streams.core.dead_letters import DeadLetter
from streams.jobs.dead_letters.ports import OperationsLog, Replays
from streams.kafka.producing.producer import Outgoing
from topics.catalogue import OPERATIONS
from topics.sizes import Sizes


class Sender(Protocol):
    """Publishes records; `Producer` implements it."""

    async def send(self, records: Sequence[Outgoing]) -> None:
        """Publish all records in their order; returns when every record is acknowledged."""


class KafkaReplays(Replays):
    """Publishes each record to the partition where it was. `sizes` are those on the broker.

    So two records of one key are in their order again, whatever partitioner their publisher has.
    """

    def __init__(self, producer: Sender, namespace: str, sizes: Sizes) -> None:
        self._producer = producer
        self._namespace = namespace
        self._sizes = sizes

    async def publish(self, letters: Sequence[DeadLetter]) -> None:
        await self._producer.send([self._record(letter) for letter in letters])

    def _record(self, letter: DeadLetter) -> Outgoing:
        assert letter.failure is not None  # Otherwise nobody knows that it is a dead letter.
        return Outgoing(
            letter.topic.named(self._namespace),
            # A topic that was created again may have fewer partitions.
            letter.failure.partition % self._sizes.partitions(letter.topic),
            letter.key,
            letter.value,
            replay_headers(letter.headers),
        )


class KafkaOperationsLog(OperationsLog):
    """Writes to the only partition of `operations`."""

    def __init__(self, producer: Sender, namespace: str) -> None:
        self._producer = producer
        self._namespace = namespace

    async def announce(self, subject: str, record: bytes) -> None:
        await self._producer.send([Outgoing(OPERATIONS.named(self._namespace), 0, subject.encode(), record)])
