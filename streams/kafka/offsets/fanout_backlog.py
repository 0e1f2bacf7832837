"""What of `fanout` is not committed, read from the log itself.

Each record says how many deliveries it may be. A counter would drift: a worker may die between a change and
its count. The header of each record is read once, and the committed offsets say which of them still count.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from time import monotonic
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from schemas.internal import DELIVERIES
from streams.clock import unix_ms
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
POLL_S = 0.05
# A look at the log must have reached the ends that it had before; at the first look that may be all of it.
LOOK_S_MAX = 5.0
CLIENT = {
    "enable.partition.eof": True,  # It tells the position where the last offsets have no records.
    "auto.offset.reset": "earliest",
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
        clock_ms: Callable[[], int] = unix_ms,
    ) -> None:
        self._settings = settings
        self._offsets = offsets
        self._topic = FANOUT.named(settings.namespace)
        self._lanes = {
            lane: (group_of(settings.namespace, role), sizes.range_of(FANOUT, lane))
            for role, lane in LANES.items()
        }
        self._new_consumer = new_consumer
        self._clock_ms = clock_ms
        self._consumer: Any = None
        self._partitions: dict[int, PartitionBacklog] = {}
        self._positions: dict[int, int] = {}
        self._committed: dict[int, int] = {}
        self._is_first = True

    @property
    def committed(self) -> Mapping[int, int]:
        """The offset of the next record to apply by partition, as of the last read."""
        return self._committed

    async def read(self) -> Mapping[Lane, LaneBacklog]:
        """Return what waits in each lane now.

        Raises:
            StoreUnavailable: The brokers did not answer, or the log could not be read to its end in time.
        """
        for group, partitions in self._lanes.values():
            self._committed |= await self._offsets.committed(group, self._topic, partitions)
        logs = [
            (self._topic, partition) for _, partitions in self._lanes.values() for partition in partitions
        ]
        ends = {partition: end for (_, partition), end in (await self._offsets.ends(logs)).items()}
        try:
            await in_thread(self._follow, ends)
        except KafkaException as error:
            broken, self._consumer = self._consumer, None  # The next read begins at the commits.
            if broken is not None:
                await in_thread(broken.close)
            raise StoreUnavailable(STORE, "backlog", str(error)) from error
        self._is_first = False
        for partition, backlog in self._partitions.items():
            backlog.commit(self._committed.get(partition, 0))
        return {
            lane: lane_backlog({partition: self._partitions[partition] for partition in partitions})
            for lane, (_, partitions) in self._lanes.items()
        }

    def _follow(self, ends: Mapping[int, int]) -> None:
        """Read the log up to `ends`."""
        if self._consumer is None:
            self._begin(ends)
        deadline_s = monotonic() + LOOK_S_MAX
        while behind := [partition for partition, end in ends.items() if self._positions[partition] < end]:
            self._take(self._consumer.consume(RECORDS_A_CALL, timeout=POLL_S))
            if monotonic() > deadline_s:
                raise StoreUnavailable(STORE, "backlog", f"partitions {behind} are not read to their ends")

    def _begin(self, partitions: Iterable[int]) -> None:
        self._positions = {partition: self._committed.get(partition, 0) for partition in partitions}
        self._partitions = {partition: PartitionBacklog() for partition in self._positions}
        self._is_first = True
        self._consumer = self._new_consumer({**librdkafka_consumer(self._settings, BACKLOG), **CLIENT})
        self._consumer.assign(
            [TopicPartition(self._topic, partition, offset) for partition, offset in self._positions.items()]
        )

    def _take(self, messages: Sequence[Any]) -> None:
        now_ms = self._clock_ms()
        for message in messages:
            error = message.error()
            partition, offset = message.partition(), message.offset()
            if error is None:
                # The producer's clock may differ from this one, so its time counts only for what was there
                # before this process looked.
                seen_ms = min(now_ms, message.timestamp()[1]) if self._is_first else now_ms
                self._partitions[partition].add(offset, seen_ms, _deliveries(message.headers()))
                self._positions[partition] = offset + 1
            elif error.code() == KafkaError._PARTITION_EOF:
                self._positions[partition] = max(self._positions[partition], offset)
            elif message.topic() is not None:
                raise KafkaException(error)
            # Otherwise one broker is away; the others may lead all of these logs.


def _deliveries(headers: Sequence[tuple[str, bytes]] | None) -> int:
    """Return what the record says; one of an older worker says nothing, and is a page at most."""
    return next((int(value) for name, value in headers or () if name == DELIVERIES), RECORD_MEMBERS)
