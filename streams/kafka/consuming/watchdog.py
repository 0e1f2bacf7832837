"""End this process when one of its consumers has stopped silently, so that it is started again."""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

from streams.errors import StoreUnavailable
from streams.kafka.consuming.progress import GroupPartition, Progress
from streams.kafka.offsets.queued import BrokerOffsets, Span
from streams.metrics import HELD_BACK, LAG_MESSAGES, STUCK
from streams.ports.coordination import StuckPartitions

LOOK_S = 5.0
# A new process with a new client usually cures a consumer. Where it did not twice, it never will.
ENDS_MAX = 2
log = logging.getLogger(__name__)


@dataclass(slots=True)
class Watchdog:
    """Compares the positions of this process with the broker's log ends every `look_s` seconds.

    The ends come from the broker, because a consumer that has stopped does not know that it lags.

    `stuck` counts how often workers have ended because of a partition at the same offset. After
    `ENDS_MAX` times only that partition stands still: the log and the metric say so, and the process
    goes on with its others.
    """

    progress: Progress
    offsets: BrokerOffsets
    stuck: StuckPartitions
    still_s_max: float
    fatal: Callable[[BaseException], None]
    look_s: float = LOOK_S
    # The lane of each group that has one.
    lanes: Mapping[str, str] = field(default_factory=dict)
    # The partitions that this process goes on without, and the offset of each.
    _given_up: dict[GroupPartition, int | None] = field(default_factory=dict, init=False)

    async def run(self) -> None:
        """Call `look` every `look_s` seconds; runs until cancelled."""
        while True:
            await asyncio.sleep(self.look_s)
            try:
                await self.look()
            except StoreUnavailable as error:
                LAG_MESSAGES.clear()
                log.debug("the watchdog could not look, and looks again soon: %s", error)

    async def look(self) -> None:
        """Call `fatal` if a partition with unread records did not move for `still_s_max` seconds.

        Raises:
            StoreUnavailable: A store did not answer, so nothing is known about the consumers.
        """
        await self._begin()
        owned = self.progress.owned()
        logs = {(partition.topic, partition.partition) for partition in owned}
        ends = await self.offsets.ends(logs)
        for (topic, partition), count in (await self.offsets.held_back(logs)).items():
            HELD_BACK.labels(topic, partition).set(count)
        ends_of_owned = {partition: ends[partition.topic, partition.partition] for partition in owned}
        behind = self.progress.behind(ends_of_owned)
        for (group, topic), spans in _by_group(behind, ends_of_owned).items():
            for partition, position in (await self.offsets.skip_gaps(group, topic, spans)).items():
                self.progress.skipped(GroupPartition(group, topic, partition), position)
        self._show_layers(ends_of_owned)
        await self._end_if(self.progress.stuck(ends_of_owned, self.still_s_max))

    def _show_layers(self, ends: Mapping[GroupPartition, int]) -> None:
        """Export the layers of the lag; the monitor exports the total, also of groups without a worker."""
        LAG_MESSAGES.clear()
        for partition, layers in self.progress.layers(ends).items():
            lane = self.lanes.get(partition.group, "")
            labels = (partition.group, partition.topic, partition.partition, lane)
            LAG_MESSAGES.labels(*labels, "unfetched").set(layers.unfetched)
            if layers.in_flight is not None:
                LAG_MESSAGES.labels(*labels, "in_flight").set(layers.in_flight)

    async def _end_if(self, stuck: Collection[GroupPartition]) -> None:
        for partition in [known for known in self._given_up if known not in stuck]:
            del self._given_up[partition]  # It moves again, or another process owns it.
            STUCK.labels(partition.group, partition.topic, partition.partition).set(0)
        culprits = [partition for partition in stuck if not await self._give_up(partition)]
        if culprits:
            names = ", ".join(f"{stopped.group} {stopped.topic}/{stopped.partition}" for stopped in culprits)
            self.fatal(
                RuntimeError(f"no progress for {self.still_s_max:.0f} s although records wait: {names}")
            )

    async def _give_up(self, partition: GroupPartition) -> bool:
        """Return whether this process goes on without the partition, which did not move."""
        position = self.progress.position(partition)
        if self._given_up.get(partition) == position and partition in self._given_up:
            return True
        ended = await self.stuck.ended_at(
            partition.group, partition.topic, partition.partition, position or 0
        )
        if ended <= ENDS_MAX:
            return False
        self._given_up[partition] = position
        STUCK.labels(partition.group, partition.topic, partition.partition).set(1)
        log.error(
            "%s does not move in %s/%d at offset %d, and %d new processes did not help: its records wait,"
            " the other partitions go on. Look at the record at that offset and at the broker's log",
            partition.group,
            partition.topic,
            partition.partition,
            position or 0,
            ENDS_MAX,
            extra={**partition.log_fields(), "offset": position or 0},
        )
        return True

    async def _begin(self) -> None:
        """Set each unknown position to the committed offset of the group, or to 0 without one."""
        for partition in self.progress.unknown():
            committed = await self.offsets.committed(partition.group, partition.topic, [partition.partition])
            self.progress.begin(partition, committed.get(partition.partition, 0))


def _by_group(
    behind: dict[GroupPartition, int], ends: dict[GroupPartition, int]
) -> dict[tuple[str, str], dict[int, Span]]:
    spans: dict[tuple[str, str], dict[int, Span]] = defaultdict(dict)
    for partition, position in behind.items():
        spans[partition.group, partition.topic][partition.partition] = Span(position, ends[partition])
    return spans
