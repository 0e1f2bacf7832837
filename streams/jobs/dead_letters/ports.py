"""What the handling of dead letters needs from Kafka; `streams/kafka` implements it.

Every method raises `StoreUnavailable` when Kafka does not respond, and may be repeated.
"""

from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Protocol

from streams.core.dead_letters import DeadLetter
from topics.catalogue import Topic


class DeadLetterLog(Protocol):
    """Reads dead-letter topics. `topic` is the one that the records came from."""

    async def offsets(self, topic: Topic) -> Mapping[int, range]:
        """Return for each partition of the dead-letter topic the offsets that it holds now."""

    def read(
        self, topic: Topic, partition: int, offsets: range
    ) -> AsyncGenerator[Sequence[DeadLetter], None]:
        """Yield the dead letters of these offsets in their order, some megabytes at a time."""


class Replays(Protocol):
    """Publishes dead letters to the topics that their records came from."""

    async def publish(self, letters: Sequence[DeadLetter]) -> None:
        """Publish key and value unchanged, the record's own headers, and its next attempt.

        Records that were in one partition are again in one partition, in the order of `letters`. Returns
        when all are acknowledged; after an error some may be published.
        """


class OperationsLog(Protocol):
    """Writes the topic `operations`."""

    async def announce(self, subject: str, record: bytes) -> None:
        """Publish a record about `subject`, its key; returns when it is acknowledged."""
