"""Read some records of one partition from an offset on, for people who look at them."""

from collections.abc import Sequence
from time import monotonic
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from streams.errors import StoreUnavailable
from streams.jobs.records import RecordLog, StoredRecord
from streams.kafka.clients import STORE, librdkafka_consumer
from streams.settings import KafkaSettings
from streams.threads import in_thread

GROUP = "shutterline-records"  # A client must have a group id; nothing joins or commits.
# The broker returns a larger record whole, up to its own limit of a bit more than 1 MiB.
FETCHED_BYTES = 65_536


class KafkaRecordLog(RecordLog):
    """Reads with a client for each call; `new_consumer` makes one from librdkafka's configuration."""

    def __init__(self, settings: KafkaSettings, *, timeout_s: float, new_consumer: Any = Consumer) -> None:
        self._settings = settings
        self._timeout_s = timeout_s
        self._new_consumer = new_consumer

    async def read(
        self, topic: str, partition: int, offset: int, *, records_max: int
    ) -> Sequence[StoredRecord]:
        try:
            return await in_thread(self._read, topic, partition, offset, records_max)
        except KafkaException as error:
            raise StoreUnavailable(STORE, "read", str(error)) from error

    def _read(self, topic: str, partition: int, offset: int, records_max: int) -> list[StoredRecord]:
        consumer = self._new_consumer(
            {
                **librdkafka_consumer(self._settings, GROUP),
                "enable.partition.eof": True,
                # Where the log begins after the offset, what was between is gone.
                "auto.offset.reset": "earliest",
                "queued.min.messages": 1,
                "fetch.message.max.bytes": FETCHED_BYTES,
            }
        )
        try:
            consumer.assign([TopicPartition(topic, partition, offset)])
            records: list[StoredRecord] = []
            until_s = monotonic() + self._timeout_s
            while len(records) < records_max:
                message = consumer.poll(max(0.0, until_s - monotonic()))
                if message is None:
                    raise StoreUnavailable(STORE, "read", f"no record within {self._timeout_s:g} s")
                error = message.error()
                if error is None:
                    records.append(_record(message))
                elif error.code() == KafkaError._PARTITION_EOF:
                    break
                elif message.topic() is not None:
                    raise KafkaException(error)
                # Otherwise one broker is away, and another may lead the partition.
            return records
        finally:
            consumer.close()


def _record(message: Message) -> StoredRecord:
    return StoredRecord(
        offset=message.offset(),
        timestamp_ms=message.timestamp()[1],
        key=message.key(),
        value=message.value(),
        headers=tuple(message.headers() or ()),
    )
