"""Kafka without a server: the sizes of topics, and a fake of the offsets that a broker reports."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from streams.errors import StoreUnavailable
from streams.kafka.offsets.gaps import Gaps, NextRecord
from streams.kafka.offsets.queued import BrokerOffsets, Log, Span
from topics.sizes import SIZES, Profile

# What the tests' topics have unless a test says otherwise.
LOCAL = SIZES[Profile.LOCAL]


@dataclass(slots=True)
class FakeOffsets(BrokerOffsets):
    """A fake `queued.BrokerOffsets`. A log is (topic, partition); a log that is not set is empty.

    `empty_of` has the offsets that hold no record. If `is_down` is set, every method raises.
    `questions` counts the calls of `committed`, and `looks` names the logs that were read.
    """

    begin_of: dict[Log, int] = field(default_factory=dict)
    end_of: dict[Log, int] = field(default_factory=dict)
    commit_of: dict[tuple[str, str, int], int] = field(default_factory=dict)
    empty_of: dict[Log, set[int]] = field(default_factory=dict)
    held_back_of: dict[Log, int] = field(default_factory=dict)
    is_down: bool = False
    questions: int = 0
    looks: list[Log] = field(default_factory=list)
    _gaps: Gaps = field(init=False)

    def __post_init__(self) -> None:
        self._gaps = Gaps(self._look)

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

    async def all_ends(self, partitions: Collection[Log]) -> dict[Log, int]:
        held_back = await self.held_back(partitions)
        return {log: end + held_back[log] for log, end in (await self.ends(partitions)).items()}

    async def held_back(self, partitions: Collection[Log]) -> dict[Log, int]:
        self._check("offsets")
        return {log: self.held_back_of.get(log, 0) for log in partitions}

    async def skip_gaps(self, group: str, topic: str, spans: Mapping[int, Span]) -> dict[int, int]:
        self._check("read")
        return await self._gaps.skip(group, topic, spans)

    async def _look(self, offsets: Mapping[Log, int]) -> dict[Log, NextRecord]:
        self.looks += offsets
        return {log: self._next_record(log, offset) for log, offset in offsets.items()}

    def _next_record(self, log: Log, offset: int) -> NextRecord:
        end, empty = self.end_of.get(log, 0), self.empty_of.get(log, set())
        records = (at for at in range(max(offset, self.begin_of.get(log, 0)), end) if at not in empty)
        following = next(records, None)
        return (
            NextRecord(max(end, offset), exists=False)
            if following is None
            else NextRecord(following, exists=True)
        )

    def _check(self, operation: str) -> None:
        if self.is_down:
            raise StoreUnavailable("kafka", operation, "down")
