"""Whether everything that was in the logs at a moment has been applied, stage after stage."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from time import monotonic

from streams.core.checkpoints import reached
from streams.kafka.offsets.queued import BrokerOffsets, Span
from streams.ports.timelines import Timelines
from streams.roles import LANES, Role, group_of
from topics.catalogue import EDGES, FANOUT, Topic
from topics.sizes import Sizes

POLL_S = 0.5


@dataclass(frozen=True, slots=True)
class Stage:
    """Partitions that a group reads, by the topic's name on the broker, and whether it writes timelines.

    A group that does may commit what one of several servers has not got yet.
    """

    group: str
    partitions: Mapping[str, Collection[int]]
    writes_timelines: bool = False


def stages_of(namespace: str, sizes: Sizes, events: Collection[Topic]) -> list[Stage]:
    """Return the stages from topics of events to edges and timelines, in the order in which they publish."""
    check = {topic.named(namespace): sizes.range_of(topic) for topic in events}
    return [
        Stage(group_of(namespace, Role.CHECK), check),
        Stage(group_of(namespace, Role.EDGES), {EDGES.named(namespace): sizes.range_of(EDGES)}),
        *(
            Stage(
                group_of(namespace, role),
                {FANOUT.named(namespace): sizes.range_of(FANOUT, LANES[role])},
                True,
            )
            for role in (Role.NORMAL, Role.BULK)
        ),
    ]


@dataclass(slots=True)
class Walk:
    """One walk down the stages: where the logs of each ended once those before it had been handled."""

    offsets: BrokerOffsets
    timelines: Timelines
    stages: Sequence[Stage]
    _handled: int = field(default=0, init=False)
    _ends: Mapping[str, Mapping[int, int]] = field(default_factory=dict, init=False)

    async def is_done(self) -> bool:
        """Go on as far as stages have been handled; return whether all have.

        What was in the logs of the first stage at the first call has then been applied.

        Raises:
            StoreUnavailable: The brokers, or a server of timelines, did not respond.
        """
        for stage in self.stages[self._handled :]:
            self._ends = self._ends or await self._ends_of(stage)
            for topic, ends in self._ends.items():
                if not await self._is_handled(stage.group, topic, ends):
                    return False
                if stage.writes_timelines and not await self._are_in_timelines(ends):
                    return False
            self._handled, self._ends = self._handled + 1, {}
        return True

    async def _ends_of(self, stage: Stage) -> Mapping[str, Mapping[int, int]]:
        logs = [(topic, at) for topic, partitions in stage.partitions.items() for at in partitions]
        # What an open transaction holds back is there, too: a follow of the API may be behind it.
        ends = await self.offsets.all_ends(logs)
        return {
            topic: {partition: ends[topic, partition] for partition in partitions}
            for topic, partitions in stage.partitions.items()
        }

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

    async def _are_in_timelines(self, ends: Mapping[int, int]) -> bool:
        if sum(map(len, await self.timelines.groups_by_server())) == 1:
            return True  # The one server has what is committed.
        return reached(ends, await self.timelines.checkpoints(list(ends)))


@dataclass(frozen=True, slots=True)
class Applied:
    """Waits at most `wait_s_max` for all stages: what differs then, differs for good."""

    offsets: BrokerOffsets
    timelines: Timelines
    stages: Sequence[Stage]
    wait_s_max: float

    async def wait(self) -> bool:
        """Return whether what was in the logs has been applied.

        Raises:
            StoreUnavailable: The brokers, or a server of timelines, did not respond.
        """
        deadline_s = monotonic() + self.wait_s_max
        walk = Walk(self.offsets, self.timelines, self.stages)
        while not await walk.is_done():
            if monotonic() > deadline_s:
                return False
            await asyncio.sleep(POLL_S)
        return True
