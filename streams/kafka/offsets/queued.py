"""How many records of some partitions a consumer group has not committed yet."""

import asyncio
from collections.abc import Collection, Iterable
from typing import Protocol


class BrokerOffsets(Protocol):
    """Reads offsets from the broker; `offsets.Offsets` implements this port.

    A partition is the pair (topic, partition), with the topic's name on the broker.
    """

    async def committed(self, group: str, topic: str, partitions: Iterable[int]) -> dict[int, int]: ...

    async def begins(self, partitions: Collection[tuple[str, int]]) -> dict[tuple[str, int], int]: ...

    async def ends(self, partitions: Collection[tuple[str, int]]) -> dict[tuple[str, int], int]: ...


async def queued_records(
    offsets: BrokerOffsets, *, group: str, topic: str, partitions: Collection[int]
) -> int:
    """Count the records between the group's commits and the ends of the logs.

    If the group has no commit for a partition, or its commit is before the start of the log, every
    record that the log still holds counts as queued. If the commit is past the end, none does.

    Raises:
        StoreUnavailable: The broker did not answer.
    """
    logs = [(topic, partition) for partition in partitions]
    committed, begins, ends = await asyncio.gather(
        offsets.committed(group, topic, partitions), offsets.begins(logs), offsets.ends(logs)
    )
    return sum(max(0, ends[log] - max(begins[log], committed.get(log[1], 0))) for log in logs)
