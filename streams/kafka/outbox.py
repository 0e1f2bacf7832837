"""The internal topics, as the handlers publish to them."""

from collections.abc import Sequence

from schemas.ids import pack_id
from schemas.internal import EdgeRecord, FanoutPage, FanoutRecord, encode_fanout
from streams.kafka.producer import Outgoing, Producer
from topics.catalogue import EDGES, FANOUT, Lane
from topics.partitioning import partition_of, partition_of_bucket


class KafkaOutbox:
    """`streams.handlers.publishing.Outbox` over Kafka."""

    def __init__(self, producer: Producer, namespace: str) -> None:
        self._producer = producer
        self._edges = EDGES.named(namespace)
        self._fanout = FANOUT.named(namespace)

    async def edges(self, records: Sequence[EdgeRecord]) -> None:
        await self._producer.send(
            [
                Outgoing(self._edges, partition_of(EDGES, each.owner), pack_id(each.owner), each.encode())
                for each in records
            ]
        )

    async def fanout(self, records: Sequence[FanoutRecord], lane: Lane) -> None:
        await self._producer.send(
            [
                Outgoing(self._fanout, _partition(each, lane), pack_id(each.author_id), encode_fanout(each))
                for each in records
            ]
        )


def _partition(record: FanoutRecord, lane: Lane) -> int:
    if isinstance(record, FanoutPage):
        return partition_of_bucket(FANOUT, record.author_id, record.bucket, lane)
    return partition_of(FANOUT, record.author_id, lane)
