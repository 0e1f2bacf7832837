"""Read a range of offsets of `fanout` again, without joining or committing for a consumer group."""

from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Protocol

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from schemas.envelope import Record
from streams.errors import StoreUnavailable
from streams.kafka.clients import STORE, aiokafka_consumer
from streams.kafka.consuming.fetched import record_of
from streams.settings import KafkaSettings

POLL_MS = 1_000


class RecordLog(Protocol):
    """Reads records that a log still holds."""

    def read(self, partition: int, begin: int, end: int) -> AsyncGenerator[Sequence[Record], None]:
        """Yield all records of offsets [begin, end) in order, in batches; a batch may be empty.

        Raises:
            StoreUnavailable: The broker did not answer, or the log has already deleted `begin`.
        """


class FanoutLog(RecordLog):
    """Reads the log of `topic`, its name on the broker. `new_consumer` makes the client."""

    def __init__(
        self,
        settings: KafkaSettings,
        *,
        topic: str,
        batch_records_max: int,
        new_consumer: Callable[..., AIOKafkaConsumer] = AIOKafkaConsumer,
    ) -> None:
        self._client = aiokafka_consumer(settings)
        self._topic = topic
        self._batch_records_max = batch_records_max
        self._new_consumer = new_consumer

    async def read(self, partition: int, begin: int, end: int) -> AsyncGenerator[Sequence[Record], None]:
        log_partition = TopicPartition(self._topic, partition)
        consumer = self._new_consumer(**self._client, auto_offset_reset="none")
        try:
            await consumer.start()
            consumer.assign([log_partition])
            consumer.seek(log_partition, begin)
            while begin < end:
                fetched = await consumer.getmany(
                    log_partition, timeout_ms=POLL_MS, max_records=self._batch_records_max
                )
                yield [
                    record_of(message) for message in fetched.get(log_partition, ()) if message.offset < end
                ]
                begin = await consumer.position(log_partition)
        except KafkaError as error:
            raise StoreUnavailable(STORE, "repair", repr(error)) from error
        finally:
            await consumer.stop()
