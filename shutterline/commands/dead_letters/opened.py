"""What the commands about dead letters work with, once Kafka and Cassandra respond."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from shutterline.failures import require, require_kafka
from streams.kafka.consuming.dead_letter_log import KafkaDeadLetterLog
from streams.kafka.offsets.offsets import Offsets
from streams.kafka.producing.producer import Producer
from streams.kafka.producing.replays import KafkaOperationsLog, KafkaReplays
from streams.ports.coordination import HandledDeadLetters
from streams.settings import KafkaSettings, StoreSettings
from streams.stores.connect import connect


@dataclass(frozen=True, slots=True)
class Opened:
    """The dead-letter topics, what was handled of them, and what writes to Kafka."""

    log: KafkaDeadLetterLog
    handled: HandledDeadLetters
    replays: KafkaReplays
    operations: KafkaOperationsLog


@asynccontextmanager
async def opened(kafka: KafkaSettings, stores: StoreSettings, timeout_ms: int) -> AsyncIterator[Opened]:
    """Connect; `timeout_ms` bounds one operation.

    Raises:
        CommandFailed: Kafka or Cassandra does not answer.
        TopicMismatch: The topics are not those of the profile.
    """
    await require_kafka(kafka)
    await require(cassandra=stores.cassandra)
    async with (
        connect(stores, timeout_ms=timeout_ms) as connected,
        Producer(kafka, timeout_ms=timeout_ms) as producer,
    ):
        sizes = await producer.compare_sizes()
        yield Opened(
            log=KafkaDeadLetterLog(kafka, Offsets(kafka), sizes),
            handled=connected.handled_dead_letters,
            replays=KafkaReplays(producer, kafka.namespace, sizes),
            operations=KafkaOperationsLog(producer, kafka.namespace),
        )
