"""How many records of some partitions a consumer group has not committed yet."""

import asyncio
from collections.abc import Collection, Iterable
from typing import Protocol


class BrokerOffsets(Protocol):
    """What the broker says about offsets; `offsets.Offsets` implements it.

    A partition is (topic, partition), the topic's name as the broker knows it.
    """

    async def committed(self, group: str, topic: str, partitions: Iterable[int]) -> dict[int, int]: ...

    async def begins(self, partitions: Collection[tuple[str, int]]) -> dict[tuple[str, int], int]: ...

    async def ends(self, partitions: Collection[tuple[str, int]]) -> dict[tuple[str, int], int]: ...


async def queued_records(
    offsets: BrokerOffsets, *, group: str, topic: str, partitions: Collection[int]
) -> int:
    """Count the records between the group's commits and the ends of the logs.

    Where the group has committed nothing, or its commit is older than the log, everything that the
    log still holds is queued. Nothing is queued where a commit is past the end.

    Raises:
        StoreUnavailable: The broker did not answer.
    """
    logs = [(topic, partition) for partition in partitions]
    committed, begins, ends = await asyncio.gather(
        offsets.committed(group, topic, partitions), offsets.begins(logs), offsets.ends(logs)
    )
    return sum(max(0, ends[log] - max(begins[log], committed.get(log[1], 0))) for log in logs)
