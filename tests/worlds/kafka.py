"""Kafka without a server: offsets as a broker states them."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from streams.errors import StoreUnavailable

Log = tuple[str, int]


@dataclass(slots=True)
class FakeOffsets:
    """`queued.BrokerOffsets`. A log is (topic, partition); one that is not set is empty.

    `is_down` raises instead; `questions` counts the calls of `committed`.
    """

    begin_of: dict[Log, int] = field(default_factory=dict)
    end_of: dict[Log, int] = field(default_factory=dict)
    commit_of: dict[tuple[str, str, int], int] = field(default_factory=dict)
    is_down: bool = False
    questions: int = 0

    async def committed(self, group: str, topic: str, partitions: Iterable[int]) -> dict[int, int]:
        self.questions += 1
        self._check("committed")
        commits = {partition: self.commit_of.get((group, topic, partition)) for partition in partitions}
        return {partition: commit for partition, commit in commits.items() if commit is not None}

    async def begins(self, partitions: Collection[Log]) -> dict[Log, int]:
        self._check("offsets")
        return {log: self.begin_of.get(log, 0) for log in partitions}

    async def ends(self, partitions: Collection[Log]) -> dict[Log, int]:
        self._check("offsets")
        return {log: self.end_of.get(log, 0) for log in partitions}

    def _check(self, operation: str) -> None:
        if self.is_down:
            raise StoreUnavailable("kafka", operation, "down")
