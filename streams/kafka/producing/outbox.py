"""Publish the handlers' records to the internal topics."""

from collections import defaultdict
from collections.abc import Mapping, Sequence

from more_itertools import sliced

from schemas.ids import pack_id
from schemas.internal import (
    DELIVERIES,
    EDGES_A_RECORD_MAX,
    RECOUNT,
    Backfill,
    Bucket,
    EdgeRecord,
    FanoutPage,
    FanoutPosts,
    OwnPost,
    RenditionTask,
    encode_edges,
    encode_fanout,
    encode_recount,
    encode_task,
)
from streams.core.sets import BucketKey
from streams.kafka.producing.producer import Outgoing, Producer
from streams.ports.publishing import FanoutMessage
from streams.telemetry.causes import Headers, headers_about
from streams.telemetry.subjects import subjects_of_fanout
from topics.catalogue import EDGES, FANOUT, RENDITIONS, Lane
from topics.sizes import Sizes


class KafkaOutbox:
    """Implements `Outbox` and `Recounts` of `streams.ports.publishing` with Kafka."""

    def __init__(self, producer: Producer, namespace: str, sizes: Sizes) -> None:
        self._producer = producer
        self._sizes = sizes
        self._edges = EDGES.named(namespace)
        self._fanout = FANOUT.named(namespace)
        self._renditions = RENDITIONS.named(namespace)

    async def edges(self, records: Sequence[EdgeRecord]) -> None:
        by_partition: dict[int, list[EdgeRecord]] = defaultdict(list)
        for record in records:
            by_partition[self._sizes.partition_of(EDGES, record.owner)].append(record)
        await self._producer.send(
            [
                # Without a key: a record has the edges of several owners.
                Outgoing(self._edges, partition, None, encode_edges(some), _headers_of_edges(some))
                for partition, of_partition in by_partition.items()
                for some in sliced(of_partition, EDGES_A_RECORD_MAX)
            ]
        )

    async def recount(self, buckets: Sequence[BucketKey]) -> None:
        by_partition: dict[int, list[Bucket]] = defaultdict(list)
        for key in buckets:
            partition = self._sizes.partition_of(EDGES, key.owner)
            by_partition[partition].append((key.kind, key.owner, key.level, key.bucket))
        await self._producer.send(
            [
                Outgoing(self._edges, partition, None, None, [(RECOUNT, encode_recount(some))])
                for partition, of_partition in by_partition.items()
                for some in sliced(of_partition, EDGES_A_RECORD_MAX)
            ]
        )

    async def fanout(self, messages: Sequence[FanoutMessage], lane: Lane) -> Mapping[int, int]:
        ends = await self._producer.ends_of([self._record(message, lane) for message in messages])
        return {partition: end for (_, partition), end in ends.items()}

    async def renditions(self, tasks: Sequence[RenditionTask], lane: Lane) -> None:
        await self._producer.send(
            [
                Outgoing(
                    self._renditions,
                    self._sizes.partition_of(RENDITIONS, record.photo_id, lane),
                    pack_id(record.photo_id),
                    encode_task(record),
                    headers_about([record.photo_id]),
                )
                for record in tasks
            ]
        )

    def _record(self, message: FanoutMessage, lane: Lane) -> Outgoing:
        record = message.record
        match record:
            case FanoutPage():
                key = record.author_id
                partition = self._sizes.partition_of_page(FANOUT, key, record.bucket // record.buckets, lane)
            case FanoutPosts():
                key = record.posts[0][1]
                partition = self._sizes.partition_of(FANOUT, key, lane)
            case OwnPost():
                key = record.author_id
                partition = self._sizes.partition_of(FANOUT, key, lane)
            case Backfill():
                # By follower: those of one account are spread over all partitions of the lane.
                key = record.follows[0][0]
                partition = self._sizes.partition_of(FANOUT, key, lane)
        headers = [(DELIVERIES, b"%d" % message.deliveries), *headers_about(subjects_of_fanout(record))]
        return Outgoing(self._fanout, partition, pack_id(key), encode_fanout(record), headers)


def _headers_of_edges(edges: Sequence[EdgeRecord]) -> Headers:
    return headers_about((edge.member, edge.owner) for edge in edges)
