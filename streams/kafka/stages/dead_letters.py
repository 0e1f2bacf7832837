"""Dead letters: a record that can never be handled is published to its dead-letter topic, bytes unchanged.

A topic limits its batches as they are compressed, so a record may be much larger than the dead-letter topic
takes. Then the letter lacks the record's value, or everything of the record. Its headers say what it lacks,
and where the record is.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from schemas.dead_letter_headers import dead_letter_headers
from schemas.envelope import PoisonEvent, Record
from schemas.times import utc_datetime_of_ms
from streams.clock import unix_ms
from streams.core.dead_letters import record_bytes_max
from streams.kafka.consuming.waiting import retry_until_available
from streams.kafka.producing.producer import Outgoing
from streams.settings import RetrySettings
from topics.catalogue import DEAD_LETTER_BYTES_MAX, Topic, dead_letter_of


class DeadLetterProducer(Protocol):
    """Publishes records; `Producer` implements it."""

    async def send(self, records: Sequence[Outgoing]) -> None:
        """Publish all records; returns when every record is acknowledged.

        Raises:
            StoreUnavailable: Some records may be published and some not; send all again.
        """


@dataclass(frozen=True, slots=True)
class DeadLetters:
    """The dead letters of one topic that the consumer group `group` reads. `clock_ms` is the wall clock."""

    producer: DeadLetterProducer
    topic: Topic
    namespace: str
    group: str
    retry: RetrySettings
    clock_ms: Callable[[], int] = unix_ms

    async def publish(
        self, poisons: Sequence[tuple[Record, PoisonEvent]], is_assigned: Callable[[], bool]
    ) -> None:
        """Publish a dead letter for each poison record; returns when all are acknowledged.

        Raises:
            PartitionRevoked: The partition was taken away while Kafka was unavailable.
        """
        if not poisons:
            return
        letters = [self._letter(record, poison) for record, poison in poisons]
        await retry_until_available(self.retry, lambda: self.producer.send(letters), is_assigned=is_assigned)

    def _letter(self, record: Record, poison: PoisonEvent) -> Outgoing:
        """Return the letter that has as much of the record as fits."""
        without_value = replace(record, value=None)
        empty = replace(record, key=None, value=None, headers=())
        parts = ((record, ""), (without_value, "value"), (empty, "key, value, headers"))
        letters = (self._letter_of(part, poison, left_out) for part, left_out in parts)
        return next(
            letter
            for letter in letters
            if record_bytes_max(letter.key, letter.value, letter.headers) <= DEAD_LETTER_BYTES_MAX
        )

    def _letter_of(self, record: Record, poison: PoisonEvent, left_out: str) -> Outgoing:
        headers = dead_letter_headers(
            record,
            reason=poison.reason,
            error=poison.error,
            group=self.group,
            failed_at=utc_datetime_of_ms(self.clock_ms()),
            left_out=left_out,
        )
        return Outgoing(
            dead_letter_of(self.topic).named(self.namespace), 0, record.key, record.value, headers
        )
