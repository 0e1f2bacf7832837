"""Take fetched records out of a consumer's buffer, each partition by itself, so that an error loses none.

aiokafka moves the position of a partition as its records leave the buffer. If the next partition raises, what
was taken of those before is dropped: nobody handles these records, and later commits pass them.
"""

import asyncio
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import ConsumerStoppedError, KafkaError

from streams.kafka.consuming.refusals import RETRY_S, report_refusal

Taken = dict[TopicPartition, list[ConsumerRecord[bytes, bytes]]]


@dataclass(slots=True)
class PartitionReader:
    """Takes the records of one consumer of the group `group`. `clock_s` is monotonic."""

    group: str
    retry_s: float = RETRY_S
    clock_s: Callable[[], float] = monotonic
    # When to read the partitions again whose last read failed.
    _again_s: dict[TopicPartition, float] = field(default_factory=dict, init=False)

    async def take(
        self,
        consumer: AIOKafkaConsumer,
        partitions: Collection[TopicPartition],
        *,
        timeout_s: float,
        max_records: int | None = None,
        each_max: int | None = None,
    ) -> Taken:
        """Return what has arrived of `partitions`, of all if that is empty; waits `timeout_s` for it.

        Takes at most `max_records` in all, or at most `each_max` of each partition.
        An error of one partition is reported, and the partition is read again after `retry_s`.

        Raises:
            KafkaError: The consumer was refused. Nothing was taken.
            ConsumerStoppedError: The consumer was stopped.
        """
        fetcher = consumer._fetcher
        if consumer._closed or fetcher._closed:
            raise ConsumerStoppedError
        with fetcher._subscriptions.fetch_context():
            taken = await self._take_now(fetcher, partitions, max_records, each_max)
            if taken or not timeout_s:
                return taken
            waiter = fetcher._create_fetch_waiter()
            try:
                async with asyncio.timeout(timeout_s):
                    await waiter
            except TimeoutError:
                return {}
            return await self._take_now(fetcher, partitions, max_records, each_max)

    async def _take_now(
        self,
        fetcher: Any,
        partitions: Collection[TopicPartition],
        max_records: int | None,
        each_max: int | None,
    ) -> Taken:
        if fetcher._subscriptions.reassignment_in_progress:
            await fetcher._subscriptions.wait_for_assignment()
        # From here on nothing suspends this coroutine, so no partition is lost between two reads.
        taken: Taken = {}
        for partition in list(fetcher._records):
            if (partitions and partition not in partitions) or self._is_early(partition):
                continue
            left = each_max
            if max_records is not None:
                left = max_records - sum(map(len, taken.values()))
                if left == 0:
                    break
            try:
                taken |= await fetcher.fetched_records([partition], timeout=0, max_records=left)
            except KafkaError as error:
                report_refusal(f"{self.group} {partition.topic}/{partition.partition}", error)
                self._again_s[partition] = self.clock_s() + self.retry_s
        return taken

    def _is_early(self, partition: TopicPartition) -> bool:
        return self.clock_s() < self._again_s.get(partition, 0.0)


class PartitionConsumer(AIOKafkaConsumer):  # type: ignore[misc]  # aiokafka has no types here
    """A consumer that reads each partition by itself."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._reader = PartitionReader(self._group_id)

    async def getmany(
        self, *partitions: TopicPartition, timeout_ms: int = 0, max_records: int | None = None
    ) -> Taken:
        """See `PartitionReader.take`. Raises the errors of the group, too."""
        self._coordinator.check_errors()
        return await self._reader.take(
            self, partitions, timeout_s=timeout_ms / 1_000, max_records=max_records
        )
