"""One lane of `fanout`: apply its records to the timelines, then store the checkpoint in Redis.

The checkpoint is the next offset to apply. It is stored after the timelines and before the commit.
So if Redis goes back to an older state, its checkpoint is behind the committed offset, and
`redis_checkpoints.py` repairs Redis. In a cluster, `group_checkpoints.py` may leave out a server that hangs.
"""

import logging
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial

from schemas.envelope import Record
from streams.kafka.consuming.agent import Delivered
from streams.kafka.consuming.progress import GroupPartition, Progress
from streams.kafka.consuming.throttle import BackgroundThrottle
from streams.kafka.consuming.waiting import PartitionRevoked
from streams.kafka.stages.redis_checkpoints import LaneCheckpoints
from streams.telemetry.batches import handling_batch, ids_of
from streams.telemetry.causes import Cause, Subject, causes_in
from streams.telemetry.lines import log_each
from topics.catalogue import Lane

log = logging.getLogger(__name__)


@dataclass(slots=True)
class FanoutLane:
    """Handles the batches of one lane. The normal lane is urgent and slows the bulk lane down."""

    group: str
    lane: Lane
    checkpoints: LaneCheckpoints
    progress: Progress
    throttle: BackgroundThrottle

    async def __call__(self, delivered: Delivered) -> None:
        records = delivered.records
        group_partition = GroupPartition(self.group, records[0].topic, records[0].partition)
        causes = _causes(records)
        urgent = self.throttle.urgent() if self.lane is Lane.NORMAL else nullcontext()
        try:
            with (
                self.progress.excused(group_partition),
                urgent,
                handling_batch(
                    f"timelines {self.lane.value}",
                    group_partition.log_fields(),
                    partial(ids_of, causes),
                    causes,
                ),
            ):
                await self.checkpoints.handle(records, delivered.is_assigned)
        except PartitionRevoked:
            return
        delivered.ack(len(records))
        self.progress.handled(group_partition, records[-1].offset + 1)
        rows = ({"event_id": event_id} for event_id in ids_of(causes))
        log_each(log, logging.INFO, "timelines written", rows, group_partition.log_fields())


def _causes(records: Sequence[Record]) -> dict[Subject, Cause]:
    """Return the causes of the records, each once: a photo may have hundreds of pages."""
    causes = (
        cause
        for record in records
        for cause in causes_in(record.headers, range(len(record.headers))).values()
    )
    return dict(enumerate(dict.fromkeys(causes)))
