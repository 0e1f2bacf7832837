"""Wait until everything that is in the logs now has been applied: what differs then, differs for good."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from time import monotonic

from streams.kafka.offsets.queued import BrokerOffsets, Span
from streams.roles import LANES, Role, group_of
from topics.catalogue import EDGES, FANOUT, FOLLOWS, LIKES, UPLOADS
from topics.sizes import Sizes

POLL_S = 0.5


@dataclass(frozen=True, slots=True)
class Stage:
    """Partitions that a group reads, by the topic's name on the broker."""

    group: str
    partitions: Mapping[str, Collection[int]]


def stages_of(namespace: str, sizes: Sizes) -> list[Stage]:
    """Return the stages on the way to edges and timelines, in the order in which they publish."""
    check = {topic.named(namespace): sizes.range_of(topic) for topic in (UPLOADS, FOLLOWS, LIKES)}
    normal = {FANOUT.named(namespace): sizes.range_of(FANOUT, LANES[Role.NORMAL])}
    return [
        Stage(group_of(namespace, Role.CHECK), check),
        Stage(group_of(namespace, Role.EDGES), {EDGES.named(namespace): sizes.range_of(EDGES)}),
        Stage(group_of(namespace, Role.NORMAL), normal),
    ]


@dataclass(frozen=True, slots=True)
class Applied:
    """Waits at most `wait_s_max` for all stages."""

    offsets: BrokerOffsets
    stages: Sequence[Stage]
    wait_s_max: float

    async def wait(self) -> bool:
        """Return whether each stage has handled what was in its logs once those before it had.

        Raises:
            StoreUnavailable: The brokers did not respond.
        """
        deadline_s = monotonic() + self.wait_s_max
        for stage in self.stages:
            for topic, partitions in stage.partitions.items():
                logs = [(topic, partition) for partition in partitions]
                ends = await self.offsets.ends(logs)
                while not await self._is_handled(stage.group, topic, {log[1]: ends[log] for log in logs}):
                    if monotonic() > deadline_s:
                        return False
                    await asyncio.sleep(POLL_S)
        return True

    async def _is_handled(self, group: str, topic: str, ends: Mapping[int, int]) -> bool:
        committed, begins = await asyncio.gather(
            self.offsets.committed(group, topic, ends), self.offsets.begins([(topic, at) for at in ends])
        )
        spans = {
            partition: Span(max(begins[topic, partition], committed.get(partition, 0)), end)
            for partition, end in ends.items()
        }
        waiting = {partition: span for partition, span in spans.items() if span.begin < span.end}
        if not waiting:
            return True
        skipped = await self.offsets.skip_gaps(group, topic, waiting)
        return all(skipped[partition] >= span.end for partition, span in waiting.items())
