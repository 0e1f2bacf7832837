"""A new generation of the internal topics: with other partitions, after all that was in them is handled.

`edges`, `fanout` and `renditions` cannot grow by adding partitions (decision 65). So they are deleted and
created again while no worker and no API process runs.

The checkpoints in Redis are set to 0 before `fanout` is deleted, so that nobody takes a place in the former
log for one in the new log. If the command dies after that, a worker that is started applies records again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from streams.core.checkpoints import groups_by_checkpoint
from streams.errors import StoreUnavailable
from streams.kafka.offsets.queued import BrokerOffsets, queued_records
from streams.ports.timelines import Timelines
from streams.roles import LANES, RENDITION_LANES, Role, group_of
from topics.catalogue import EDGES, FANOUT, RENDITIONS, Lane, Topic
from topics.sizes import SIZES, Sizes

INTERNAL = (EDGES, FANOUT, RENDITIONS)
# Which group reads what.
CONSUMERS: Mapping[Role, tuple[Topic, Lane | None]] = {
    Role.EDGES: (EDGES, None),
    **{role: (FANOUT, lane) for role, lane in LANES.items()},
    **{role: (RENDITIONS, lane) for role, lane in RENDITION_LANES.items()},
}


def made_with(namespace: str, counts: Mapping[str, int]) -> Sizes | None:
    """Return the profile with which the internal topics that exist were made; None if it is none of ours.

    `counts` are partitions by the name on the broker. Of topics that all are missing it is the first.
    """
    for sizes in SIZES.values():
        if all(counts.get(topic.named(namespace)) in (None, sizes.partitions(topic)) for topic in INTERNAL):
            return sizes
    return None


@dataclass(frozen=True, slots=True)
class Generation:
    """The internal topics as they are: `names` are those that exist, on the broker; made with `sizes`."""

    namespace: str
    names: Sequence[str]
    sizes: Sizes
    offsets: BrokerOffsets
    timelines: Timelines

    @property
    def groups(self) -> list[str]:
        """The consumer groups of the internal topics."""
        return [group_of(self.namespace, role) for role in CONSUMERS]

    async def unhandled(self) -> list[str]:
        """Return what would be lost with the topics, a sentence each; empty if nothing.

        Raises:
            StoreUnavailable: Kafka or Redis did not answer.
        """
        sentences = []
        for role, (topic, lane) in CONSUMERS.items():
            group, name = group_of(self.namespace, role), topic.named(self.namespace)
            queued = await queued_records(
                self.offsets, group=group, topic=name, partitions=self._range_of(topic, lane)
            )
            if queued:
                sentences.append(f"{group} has not handled {queued} records of {name}")
        return [*sentences, *await self._unapplied()]

    async def _unapplied(self) -> list[str]:
        name = FANOUT.named(self.namespace)
        partitions = [partition for lane in FANOUT.lanes for partition in self._range_of(FANOUT, lane)]
        if not partitions:
            return await self._left_behind()
        ends = await self.offsets.ends([(name, partition) for partition in partitions])
        by_group = await self.timelines.checkpoints_by_group(partitions)
        behind = [
            partition
            for (_, partition), end in ends.items()
            if any(checkpoints.get(partition, -1) < end for checkpoints in by_group)
        ]
        return [f"Redis has not got all of {name}, partitions {behind}"] if behind else []

    async def _left_behind(self) -> list[str]:
        """Return a sentence if `fanout` was deleted by somebody else, who may not have waited for Redis."""
        of_all = range(max(sizes.partitions(FANOUT) for sizes in SIZES.values()))
        by_group = await self.timelines.checkpoints_by_group(of_all)
        if not any(position for checkpoints in by_group for position in checkpoints.values()):
            return []
        return [
            f"{FANOUT.named(self.namespace)} is gone, but Redis has places in it: empty Redis, "
            "so that all timelines are rebuilt"
        ]

    async def begin_at_zero(self, partitions: int) -> None:
        """Let Redis have everything of a `fanout` of so many partitions whose offsets begin at 0.

        Raises:
            StoreUnavailable: Some partitions may not be at 0, because Redis did not answer or a worker runs.
        """
        of_both = range(max(partitions, self.sizes.partitions(FANOUT)))
        by_group = await self.timelines.checkpoints_by_group(of_both)
        for partition in of_both:
            for checkpoint, groups in groups_by_checkpoint(by_group, partition):
                if not await self.timelines.save_checkpoint(partition, 0, expected=checkpoint, groups=groups):
                    raise StoreUnavailable(
                        "redis", "checkpoint", f"a worker has moved that of partition {partition}"
                    )

    def _range_of(self, topic: Topic, lane: Lane | None) -> range:
        exists = topic.named(self.namespace) in self.names
        return self.sizes.range_of(topic, lane) if exists else range(0)
