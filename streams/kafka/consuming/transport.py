"""Faust's consumer as this system needs it: it reads what is committed, and a refusal is an outage.

In Faust an error of a fetch or of a commit ends the thread of the consumer, and nobody notices but the
watchdog. Here the broker is asked again, because it may refuse for a while: without a permission, or
while the coordinator of the group moves.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread, Consumer, Producer, Transport
from faust.types import TP
from mode import Service

from streams.kafka.clients import READ_COMMITTED
from streams.kafka.consuming.fetched import Fetched, HandledOffsets, WholeFetches
from streams.kafka.consuming.partitions import PartitionReader, Taken
from streams.kafka.consuming.rebalances import Rebalances
from streams.kafka.consuming.refusals import RETRY_S, rejoin_after, report_refusal
from streams.retrying import while_starting

# How long aiokafka waits for the records that it has of one partition to be taken, before it asks the broker
# for those of others. By its own 0.1 s, posts would be later while follows wait.
PREFETCH_BACKOFF_S = 0.01
log = logging.getLogger(__name__)


async def _until_started(
    service: Service, start: Callable[[], Awaitable[None]], client: Callable[[], Any]
) -> None:
    """Call `start`, which makes a client and connects it, until the brokers are there.

    Faust would end the process.
    """

    async def try_once() -> None:
        try:
            await start()
        except KafkaError:
            await client().stop()  # It cannot be started again; the next try makes a new one.
            raise

    # `wait` returns early once the service is told to stop.
    await service.wait(while_starting(on=KafkaError, log=log)(try_once))


class CommittedThread(AIOKafkaConsumerThread):  # type: ignore[misc]  # Faust's drivers have no types
    """The thread of one consumer."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._reader = PartitionReader(self.app.conf.id)

    def _create_worker_consumer(self, transport: Transport) -> AIOKafkaConsumer:
        consumer = super()._create_worker_consumer(transport)
        # Faust passes `read_committed` only with its own transactions, and has no setting for it. The
        # consumer reads the attribute when it starts.
        assert consumer._isolation_level == "read_uncommitted"
        consumer._isolation_level = READ_COMMITTED
        return consumer

    async def on_start(self) -> None:
        """Connect, and wait for brokers that are away."""
        await _until_started(self, super().on_start, lambda: self._consumer)
        self._ensure_consumer()._fetcher._prefetch_backoff = PREFETCH_BACKOFF_S

    @Service.task  # type: ignore[untyped-decorator]
    async def _take_errors(self) -> None:
        """Take the errors of the group, which aiokafka waits for before it joins the group again.

        Faust never takes them.
        """
        while not self.should_stop:
            consumer = self._ensure_consumer()
            try:
                consumer._coordinator.check_errors()
            except KafkaError as error:
                report_refusal(self.app.conf.id, error)
                rejoin_after(error, consumer)
            await self.sleep(RETRY_S)

    async def _fetch_records(
        self,
        consumer: AIOKafkaConsumer,
        active_partitions: Collection[TopicPartition],
        *,
        timeout: float,  # noqa: ASYNC109 - Faust's name.
        max_records: int,
    ) -> Taken:
        if not self.consumer.flow_active:
            return {}
        try:
            # Of each partition: thousands of follows must not make a post wait until it is their turn.
            return await self._reader.take(
                consumer, active_partitions, timeout_s=timeout, each_max=max_records
            )
        except KafkaError as error:
            report_refusal(self.app.conf.id, error)
            await asyncio.sleep(RETRY_S)
            return {}

    async def _commit(self, offsets: Mapping[TP, int]) -> bool:
        """Commit those of the assigned partitions; returns False if that failed."""
        assigned = self.assignment()
        owned = {TopicPartition(*tp): offset for tp, offset in offsets.items() if tp in assigned}
        try:
            if owned:
                await self._ensure_consumer().commit(owned)
        except KafkaError as error:
            report_refusal(self.app.conf.id, error)
            return False
        return True


class CommittedConsumer(Consumer):  # type: ignore[misc]
    """The consumer of one app. Agents get whole fetches, and say how far they are handled.

    Offsets whose commit failed are committed next time.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.scheduler = WholeFetches()
        self.handled_offsets = HandledOffsets()
        self.rebalances = Rebalances(self.app.conf.id)

    def _new_consumer_thread(self) -> AIOKafkaConsumerThread:
        return CommittedThread(self, loop=self.loop, beacon=self.beacon)

    def _to_message(self, tp: TP, records: Sequence[Any]) -> Fetched:
        begin = self.handled_offsets.fetched(tp, records[0].offset, records[-1].offset + 1)
        return Fetched(tp, begin, records, self.app.consumer_generation_id)

    async def _add_gap(self, tp: TP, offset_from: int, offset_to: int) -> None:
        """Do nothing, because `handled_offsets` needs no dense offsets."""

    async def verify_all_partitions_active(self) -> None:
        """Do nothing: Faust only logs partitions that do not move, and `Watchdog` ends the process."""

    def _filter_committable_offsets(self, tps: Iterable[TP]) -> dict[TP, int]:
        return self.handled_offsets.uncommitted()

    async def _commit(self, offsets: Mapping[TP, int]) -> bool:
        is_committed: bool = await super()._commit(offsets)
        if is_committed:
            self.handled_offsets.committed(offsets)
        return is_committed

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        self.rebalances.began()
        self.handled_offsets.forget(revoked)
        await super().on_partitions_revoked(revoked)

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        await super().on_partitions_assigned(assigned, generation_id)
        self.rebalances.ended()


class PatientProducer(Producer):  # type: ignore[misc]
    """This system publishes with a producer of its own, but without Faust's an app consumes nothing."""

    async def on_start(self) -> None:
        """Connect, and wait for brokers that are away."""
        await _until_started(self, super().on_start, lambda: self._producer)


class CommittedTransport(Transport):  # type: ignore[misc]
    """What an app makes its consumers and its producer with."""

    Consumer = CommittedConsumer
    Producer = PatientProducer
