"""The batch loop over `edges`: thousands of likes of one photo are one read and one write.

The loop uses a plain Kafka consumer instead of a Faust agent, because it polls all its partitions at
once and rests between polls. A batch is committed after it is applied, so after a kill only the last
batch is applied again.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby
from time import monotonic
from typing import NoReturn

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, ConsumerRecord, TopicPartition
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from aiokafka.errors import KafkaError

from schemas.internal import RECOUNT, Bucket, EdgeRecord, decode_edges, decode_recount
from streams.core.sets import BucketKey
from streams.edges.counting import SetWriter
from streams.kafka.clients import aiokafka_consumer
from streams.kafka.consuming.partitions import PartitionConsumer
from streams.kafka.consuming.progress import GroupPartition, Progress
from streams.kafka.consuming.rebalances import Rebalances
from streams.kafka.consuming.refusals import RETRY_S, rejoin_after, report_refusal
from streams.kafka.consuming.waiting import PartitionRevoked, retry_until_available
from streams.metrics import EDGES as EDGES_APPLIED
from streams.metrics import HANDLING
from streams.ports.cache import Cache
from streams.ports.edges import CountedSets
from streams.ports.publishing import Outbox
from streams.settings import ConsumerSettings, EdgeSettings, RetrySettings
from streams.telemetry.batches import handling_batch, ids_of
from streams.telemetry.causes import Cause, Subject, causes_in
from streams.telemetry.lines import log_each
from topics.catalogue import EDGES

POLL_MS = 1_000  # Records end a poll at once; the errors of the group are looked at between polls.
# A batch may wait for a store for hours, and the broker must not revoke its partitions meanwhile.
# The watchdog detects a stuck process instead.
POLL_INTERVAL_MS_MAX = 24 * 3_600_000
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Batch:
    """Records of one partition, with the offsets [begin, end): edges, or buckets to recount.

    `causes` are those of the edges that are followed.
    """

    begin: int
    end: int
    edges: Sequence[EdgeRecord]
    recounts: Sequence[BucketKey]
    causes: Mapping[Subject, Cause]

    async def apply(self, writer: SetWriter) -> None:
        if self.edges:
            await writer.apply(self.edges, self.begin, self.end)
        if self.recounts:
            await writer.recount(self.recounts, self.end)


def _batches(records: Iterable[ConsumerRecord[bytes, bytes]]) -> Iterator[_Batch]:
    """Yield the records in order. Recounts are batches of their own: no other count may have their stamp."""
    for _, group in groupby(records, key=lambda record: RECOUNT in dict(record.headers)):
        some, edges = list(group), []
        causes: dict[Subject, Cause] = {}
        for record in some:
            if record.value is None:
                continue
            decoded = decode_edges(record.value)
            edges += decoded
            if record.headers:
                causes |= causes_in(record.headers, [(edge.member, edge.owner) for edge in decoded])
        yield _Batch(
            begin=some[0].offset,
            end=some[-1].offset + 1,
            edges=edges,
            recounts=[BucketKey(*bucket) for record in some for bucket in _recounted(record)],
            causes=causes,
        )


def _recounted(record: ConsumerRecord[bytes, bytes]) -> list[Bucket]:
    return [bucket for name, value in record.headers if name == RECOUNT for bucket in decode_recount(value)]


@dataclass(slots=True)
class EdgesLoop(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka has no types here
    """The consumer of `edges` in this process. `clock_s` is monotonic.

    `ready` is set once partitions are assigned. `new_consumer` makes the client.
    """

    consuming: ConsumerSettings
    settings: EdgeSettings
    retry: RetrySettings
    counted_sets: CountedSets
    cache: Cache
    outbox: Outbox
    group: str
    progress: Progress
    clock_s: Callable[[], float] = monotonic
    new_consumer: Callable[..., AIOKafkaConsumer] = PartitionConsumer
    retry_s: float = RETRY_S
    _writers: dict[int, SetWriter] = field(default_factory=dict, init=False)
    _generation: int = field(default=0, init=False)
    _rebalances: Rebalances = field(init=False)
    ready: asyncio.Event = field(default_factory=asyncio.Event, init=False)

    def __post_init__(self) -> None:
        self._rebalances = Rebalances(self.group, self.clock_s)

    async def run(self) -> None:
        """Consume until cancelled, then leave the group, so that others take over at once."""
        while True:
            # A consumer that could not start cannot be started again.
            consumer = self._consumer()
            try:
                await consumer.start()
                await self._consume(consumer)
            except KafkaError as error:
                report_refusal(self.group, error)
            finally:
                await consumer.stop()
            await asyncio.sleep(self.retry_s)

    def _consumer(self) -> AIOKafkaConsumer:
        consumer = self.new_consumer(
            **aiokafka_consumer(self.consuming),
            client_id=self.consuming.process,
            group_id=self.group,
            auto_offset_reset="earliest",
            partition_assignment_strategy=(RoundRobinPartitionAssignor,),
            session_timeout_ms=self.consuming.session_timeout_s * 1_000,
            heartbeat_interval_ms=self.consuming.heartbeat_ms,
            max_poll_interval_ms=POLL_INTERVAL_MS_MAX,
            max_partition_fetch_bytes=2_000_000,
        )
        consumer.subscribe([EDGES.named(self.consuming.namespace)], listener=self)
        return consumer

    async def _consume(self, consumer: AIOKafkaConsumer) -> NoReturn:
        while True:
            try:
                await self._poll_and_rest(consumer)
            except KafkaError as error:
                report_refusal(self.group, error)
                rejoin_after(error, consumer)
                await asyncio.sleep(self.retry_s)

    async def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:
        self._rebalances.began()
        # A writer's cached sets are correct only while no other process writes these sets.
        self._generation += 1
        self._writers.clear()

    async def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        self.progress.own(self.group, {self._group_partition(partition) for partition in assigned})
        self._rebalances.ended()
        self.ready.set()

    async def _poll_and_rest(self, consumer: AIOKafkaConsumer) -> None:
        """Poll once, then rest so that more records arrive: edges cost much less in large batches.

        One round takes at least `edges_linger_ms`. If the work took longer, the loop also rests for
        the time above `edges_linger_ms`, at most `edges_rest_ms_max`.
        """
        linger_s, rest_s_max = self.settings.edges_linger_ms / 1_000, self.settings.edges_rest_ms_max / 1_000
        worked_s, _ = await asyncio.gather(self._poll(consumer), asyncio.sleep(linger_s))
        await asyncio.sleep(min(max(0.0, worked_s - linger_s), rest_s_max))

    async def _poll(self, consumer: AIOKafkaConsumer) -> float:
        """Apply the records that have arrived; returns how many seconds that took."""
        fetched = await consumer.getmany(
            timeout_ms=POLL_MS, max_records=self.settings.edges_batch_records_max
        )
        for partition, records in fetched.items():
            if records:
                self.progress.fetched(self._group_partition(partition), records[-1].offset + 1)
        began_s = self.clock_s()
        generation = self._generation

        def is_assigned() -> bool:
            return generation == self._generation

        with ExitStack() as waiting:
            # While one partition waits for a store, the others are not read either.
            for owned in self.progress.owned():
                if owned.group == self.group:
                    waiting.enter_context(self.progress.excused(owned))
            await asyncio.gather(
                *(
                    self._apply(consumer, partition, records, is_assigned)
                    for partition, records in fetched.items()
                    if records
                )
            )
        return self.clock_s() - began_s

    async def _apply(
        self,
        consumer: AIOKafkaConsumer,
        partition: TopicPartition,
        records: Sequence[ConsumerRecord[bytes, bytes]],
        is_assigned: Callable[[], bool],
    ) -> None:
        group_partition = self._group_partition(partition)
        fields = group_partition.log_fields()
        for batch in _batches(records):
            began_s = self.clock_s()
            try:
                with handling_batch("edges", fields, partial(ids_of, batch.causes), batch.causes):
                    await retry_until_available(
                        self.retry,
                        partial(batch.apply, self._writer(partition.partition)),
                        is_assigned=is_assigned,
                    )
            except PartitionRevoked:
                return  # The next owner applies the batch again.
            if not is_assigned():
                return
            HANDLING.labels(self.group).observe(self.clock_s() - began_s)
            self.progress.handled(group_partition, batch.end)
            rows = ({"event_id": event_id} for event_id in ids_of(batch.causes))
            log_each(log, logging.DEBUG, "edges counted", rows, fields)
            for kind, count in Counter(edge.kind.value for edge in batch.edges).items():
                EDGES_APPLIED.labels(kind).inc(count)
            await self._commit(consumer, partition, batch.end)

    async def _commit(self, consumer: AIOKafkaConsumer, partition: TopicPartition, end: int) -> None:
        try:
            # aiokafka retries this without a limit, as long as the group's coordinator is away.
            await consumer.commit({partition: end})
            self.progress.committed(self._group_partition(partition), end)
        except KafkaError as error:
            # The next commit covers this batch, too, or the next owner applies it again. The error
            # is not raised, because the loop would then poll again while batches of other
            # partitions are still being applied, and would apply their next batches at the same
            # time.
            log.info(
                "edges: %s is applied up to %d, but not committed: %r",
                partition,
                end,
                error,
                extra={**self._group_partition(partition).log_fields(), "offset": end},
            )

    def _writer(self, partition: int) -> SetWriter:
        writer = self._writers.get(partition)
        if writer is None:
            writer = self._writers[partition] = SetWriter(
                counted_sets=self.counted_sets,
                cache=self.cache,
                outbox=self.outbox,
                bucket_members_max=self.settings.bucket_members_max,
                backfill_follows_max=self.settings.backfill_follows_max,
                generation=self.settings.edges_generation,
            )
        return writer

    def _group_partition(self, partition: TopicPartition) -> GroupPartition:
        return GroupPartition(self.group, partition.topic, partition.partition)
