"""What of `fanout` is not committed, read from the log itself.

Each record says how many deliveries it may be. A counter would drift: a worker may die between a change and
its count. The header of each record is read once, and the committed offsets say which of them still count.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, TopicPartition

from schemas.internal import DELIVERIES
from streams.core.counted import RECORD_MEMBERS
from streams.core.overload.backlog import LaneBacklog, PartitionBacklog, lane_backlog
from streams.errors import StoreUnavailable
from streams.kafka.clients import STORE, librdkafka_consumer
from streams.kafka.offsets.queued import BrokerOffsets
from streams.roles import LANES, group_of
from streams.settings import KafkaSettings
from streams.threads import in_thread
from topics.catalogue import FANOUT, Lane
from topics.sizes import Sizes

BACKLOG = "shutterline-backlog"  # A client must have a group id; no consumer group uses this one.
RECORDS_A_CALL = 10_000
# Of a read that has not reached the end of each log yet.
FIRST_S_MAX = 10.0
FETCH = {
    "enable.partition.eof": True,
    "auto.offset.reset": "earliest",
    # The broker answers as soon as there is a record, so that an idle lane costs a request in 5 s.
    "fetch.wait.max.ms": 5_000,
    "queued.max.messages.kbytes": 16_384,
}


class FanoutBacklog:
    """Reads both lanes; `new_consumer` makes a client from librdkafka's configuration."""

    def __init__(
        self,
        settings: KafkaSettings,
        offsets: BrokerOffsets,
        sizes: Sizes,
        *,
        new_consumer: Any = Consumer,
    ) -> None:
        self._settings = settings
        self._offsets = offsets
        self._topic = FANOUT.named(settings.namespace)
        self._lanes = {
            lane: (group_of(settings.namespace, role), sizes.range_of(FANOUT, lane))
            for role, lane in LANES.items()
        }
        self._new_consumer = new_consumer
        self._consumer: Any = None
        self._partitions: dict[int, PartitionBacklog] = {}
        self._reading: set[int] = set()  # Whose end has not been reached since the client was made.
        self._committed: dict[int, int] = {}

    @property
    def committed(self) -> Mapping[int, int]:
        """The offset of the next record to apply by partition, as of the last read."""
        return self._committed

    async def read(self) -> Mapping[Lane, LaneBacklog]:
        """Return what waits in each lane now.

        Raises:
            StoreUnavailable: The brokers did not answer, or the log is not read to its end yet.
        """
        for group, partitions in self._lanes.values():
            self._committed |= await self._offsets.committed(group, self._topic, partitions)
        try:
            await in_thread(self._fetch)
        except KafkaException as error:
            broken, self._consumer = self._consumer, None  # The next read begins at the commits.
            await in_thread(broken.close)
            raise StoreUnavailable(STORE, "backlog", str(error)) from error
        for partition, backlog in self._partitions.items():
            backlog.commit(self._committed.get(partition, 0))
        return {
            lane: lane_backlog({partition: self._partitions[partition] for partition in partitions})
            for lane, (_, partitions) in self._lanes.items()
        }

    def _fetch(self) -> None:
        if self._consumer is None:
            self._begin()
        wait_s = FIRST_S_MAX / 100
        for _ in range(100):
            while messages := self._consumer.consume(RECORDS_A_CALL, timeout=wait_s if self._reading else 0):
                self._take(messages)
            if not self._reading:
                return
        raise StoreUnavailable(STORE, "backlog", f"partitions {sorted(self._reading)} are not read yet")

    def _begin(self) -> None:
        partitions = [partition for _, some in self._lanes.values() for partition in some]
        consumer = self._new_consumer({**librdkafka_consumer(self._settings, BACKLOG), **FETCH})
        consumer.assign(
            [
                TopicPartition(self._topic, partition, self._committed.get(partition, OFFSET_BEGINNING))
                for partition in partitions
            ]
        )
        self._consumer = consumer
        self._partitions = {partition: PartitionBacklog() for partition in partitions}
        self._reading = set(partitions)

    def _take(self, messages: Sequence[Any]) -> None:
        for message in messages:
            error = message.error()
            if error is None:
                self._partitions[message.partition()].add(
                    message.offset(), message.timestamp()[1], _deliveries(message.headers())
                )
            elif error.code() == KafkaError._PARTITION_EOF:
                self._reading.discard(message.partition())
            elif message.topic() is not None:
                raise KafkaException(error)
            # Otherwise one broker is away; the others may lead all of these logs.


def _deliveries(headers: Sequence[tuple[str, bytes]] | None) -> int:
    """Return what the record says; one of an older worker says nothing, and is a page at most."""
    return next((int(value) for name, value in headers or () if name == DELIVERIES), RECORD_MEMBERS)
