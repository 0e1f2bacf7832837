"""One lane of `renditions`: handle its tasks, a few originals at a time.

The tasks of a batch run concurrently, except that tasks of one photo run in their order. The batch
is acknowledged as a whole. If the original is missing, the photo is parked. A decoder has a
deadline, so a task delays the tasks behind it by one deadline at most. A store that is down delays
all tasks.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

from schemas.ids import PhotoId
from schemas.internal import FullTask, RemovalTask, RenditionTask, ThumbnailTask, decode_task
from streams.clock import unix_ms
from streams.core.delivery import DeliveryRules
from streams.errors import StoreUnavailable
from streams.kafka.consuming.agent import Delivered
from streams.kafka.consuming.progress import GroupPartition, Progress
from streams.kafka.consuming.waiting import PartitionRevoked, retry_until_available
from streams.kafka.offsets.queued import BrokerOffsets, queued_records
from streams.kafka.stages.decode_slots import DecodeSlots
from streams.metrics import RENDITION_TASKS, RENDITION_WAIT, RENDITIONS_OLDEST, RENDITIONS_QUEUED
from streams.ports.cdn import Cdn
from streams.ports.groups import PhotoStores
from streams.ports.publishing import Outbox
from streams.renditions.full import full_task
from streams.renditions.making import Decoder, MakingRules, RenditionOutcome
from streams.renditions.removal import removal_task
from streams.renditions.thumbnail import thumbnail_task
from streams.settings import RetrySettings
from streams.stores.cdn.purging import STORE as EDGE
from streams.telemetry.batches import handling_batch, ids_of
from streams.telemetry.causes import Cause, Subject, cause_of, causes_in
from streams.telemetry.tracing import exemplar_of
from topics.catalogue import RENDITIONS, Lane
from topics.sizes import Sizes

WATCH_S = 5.0
PUT_OFF_S = 1.0
log = logging.getLogger(__name__)


@dataclass(slots=True)
class RenditionsLane:
    """Handles the batches of one lane, for all its partitions.

    `topic` is the name of `renditions` on the broker. `put_off_s` is how long a removal waits before it
    goes to the end of the queue because a CDN edge is unavailable. `clock_ms` is the wall clock.
    """

    retry: RetrySettings
    stores: PhotoStores
    cdn: Cdn
    outbox: Outbox
    decoder: Decoder
    rules: MakingRules
    delivery_rules: DeliveryRules
    sizes: Sizes
    topic: str
    group: str
    lane: Lane
    decode_slots: DecodeSlots
    progress: Progress
    put_off_s: float = PUT_OFF_S
    clock_ms: Callable[[], int] = unix_ms
    # For each task in progress, by `id(task)`: when the task was queued, milliseconds since 1970.
    _queued_ms: dict[int, int] = field(default_factory=dict, init=False)

    async def __call__(self, delivered: Delivered) -> None:
        records = delivered.records
        partition = GroupPartition(self.group, records[0].topic, records[0].partition)
        by_photo: defaultdict[PhotoId, list[RenditionTask]] = defaultdict(list)
        causes: dict[Subject, Cause] = {}
        for record in records:
            assert record.value is not None  # Only this system writes the topic.
            task = decode_task(record.value)
            by_photo[task.photo_id].append(task)
            causes |= causes_in(record.headers, [task.photo_id])
        try:
            # A batch may take minutes, so the watchdog ignores it. The decoders have deadlines.
            with self.progress.excused(partition):
                await asyncio.gather(
                    *(
                        self._in_turn(partition, causes.get(photo), tasks, delivered.is_assigned)
                        for photo, tasks in by_photo.items()
                    )
                )
        except PartitionRevoked:
            return
        delivered.ack(len(records))
        self.progress.handled(partition, records[-1].offset + 1)

    async def _in_turn(
        self,
        partition: GroupPartition,
        cause: Cause | None,
        tasks: Sequence[RenditionTask],
        is_assigned: Callable[[], bool],
    ) -> None:
        """Handle tasks of one photo. They have the same cause: the upload of the photo, or its delete."""
        photo = tasks[0].photo_id
        causes: dict[Subject, Cause] = {} if cause is None else {photo: cause}
        fields = {**partition.log_fields(), "photo_id": str(photo), "lane": self.lane.value}
        with handling_batch(self.lane.value, fields, partial(ids_of, causes), causes):
            for task in tasks:
                await self._handle(task, is_assigned)

    async def _handle(self, task: RenditionTask, is_assigned: Callable[[], bool]) -> None:
        async def run() -> RenditionOutcome:
            if isinstance(task, RemovalTask):
                return await self._remove(task)
            async with self.decode_slots.of(self.lane):
                return await self._make(task)

        if not isinstance(task, RemovalTask):
            self._queued_ms[id(task)] = task.queued_ms
        try:
            outcome = await retry_until_available(self.retry, run, is_assigned=is_assigned)
        finally:
            self._queued_ms.pop(id(task), None)
        RENDITION_TASKS.labels(self.lane.value, outcome.value).inc()
        log.info("rendition task handled", extra={"outcome": outcome.value})
        if outcome is RenditionOutcome.MADE and not isinstance(task, RemovalTask):
            RENDITION_WAIT.labels(self.lane.value).observe(
                self._age_s(task.queued_ms), exemplar_of(cause_of(task.photo_id))
            )

    async def _remove(self, task: RemovalTask) -> RenditionOutcome:
        try:
            await removal_task(self.stores.media_objects, self.cdn, task, self.rules.keys)
        except StoreUnavailable as error:
            if error.store != EDGE:
                raise
            # A CDN edge may be down for hours. The task is queued again, so others need not wait.
            await asyncio.sleep(self.put_off_s)
            await self.outbox.renditions([task], Lane.FULL)
            return RenditionOutcome.PUT_OFF
        return RenditionOutcome.REMOVED

    async def _make(self, task: ThumbnailTask | FullTask) -> RenditionOutcome:
        if isinstance(task, FullTask):
            return await full_task(self.stores, self.outbox, self.decoder, task, self.rules)
        return await thumbnail_task(
            self.stores,
            self.outbox,
            self.decoder,
            task,
            self.rules,
            delivery_rules=self.delivery_rules,
            sizes=self.sizes,
        )

    async def watch(self, offsets: BrokerOffsets) -> None:
        """Export the number of queued tasks and the age of the oldest in progress.

        Runs until cancelled.
        """
        while True:
            oldest_ms = min(self._queued_ms.values(), default=None)
            age_s = 0.0 if oldest_ms is None else self._age_s(oldest_ms)
            RENDITIONS_OLDEST.labels(self.lane.value).set(age_s)
            try:
                RENDITIONS_QUEUED.labels(self.lane.value).set(await self._queued(offsets))
            except StoreUnavailable as error:
                log.debug("the broker did not say how many renditions are queued: %s", error)
            await asyncio.sleep(WATCH_S)

    def _age_s(self, queued_ms: int) -> float:
        # Another machine's clock wrote `queued_ms`; it can be ahead of ours.
        return max(0, self.clock_ms() - queued_ms) / 1_000

    async def _queued(self, offsets: BrokerOffsets) -> int:
        return await queued_records(
            offsets,
            group=self.group,
            topic=self.topic,
            partitions=self.sizes.range_of(RENDITIONS, self.lane),
        )
