"""How many records of some partitions a consumer group has not committed yet."""

import asyncio
from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple, Protocol

# The topic's name on the broker, and the partition.
Log = tuple[str, int]


class Span(NamedTuple):
    """The offsets [begin, end) of one partition."""

    begin: int
    end: int


class BrokerOffsets(Protocol):
    """Reads offsets from the broker; `offsets.Offsets` implements this port.

    A partition is the pair (topic, partition), with the topic's name on the broker.
    """

    async def committed(self, group: str, topic: str, partitions: Iterable[int]) -> dict[int, int]: ...

    async def begins(self, partitions: Collection[Log]) -> dict[Log, int]: ...

    async def ends(self, partitions: Collection[Log]) -> dict[Log, int]: ...

    async def all_ends(self, partitions: Collection[Log]) -> dict[Log, int]: ...

    async def held_back(self, partitions: Collection[Log]) -> dict[Log, int]: ...

    async def skip_gaps(self, group: str, topic: str, spans: Mapping[int, Span]) -> dict[int, int]: ...


async def queued_records(
    offsets: BrokerOffsets, *, group: str, topic: str, partitions: Collection[int]
) -> int:
    """Count the records between the group's commits and the ends of the logs.

    If the group has no commit for a partition, or its commit is before the start of the log, every
    record that the log still holds counts as queued. If the commit is past the end, none does. Offsets
    without a record right after the commit do not count once the commit has stood still for a call.

    Raises:
        StoreUnavailable: The broker did not answer.
    """
    logs = [(topic, partition) for partition in partitions]
    committed, begins, ends = await asyncio.gather(
        offsets.committed(group, topic, partitions), offsets.begins(logs), offsets.ends(logs)
    )
    spans = {
        partition: Span(max(begins[topic, partition], committed.get(partition, 0)), ends[topic, partition])
        for partition in partitions
    }
    waiting = {partition: span for partition, span in spans.items() if span.begin < span.end}
    skipped = await offsets.skip_gaps(group, topic, waiting)
    return sum(max(0, span.end - skipped[partition]) for partition, span in waiting.items())
