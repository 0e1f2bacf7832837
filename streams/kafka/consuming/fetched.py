"""What one fetch brought of a partition reaches its agent as one message, and is committed as one.

Faust passes on, tracks and acknowledges each record by itself, which costs more than handling it does.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from aiokafka import ConsumerRecord
from faust.types import TP
from faust.types.transports import SchedulingStrategyT
from faust.types.tuples import ConsumerMessage

from schemas.envelope import Record


class Fetched(ConsumerMessage):  # type: ignore[misc]  # Faust has no types here
    """The records of one fetch of one partition, in the order of their offsets.

    `begin` is the offset at which the fetch before it ended; what lies between holds no records.
    """

    def __init__(
        self, tp: TP, begin: int, records: Sequence[ConsumerRecord[bytes, bytes]], generation: int
    ) -> None:
        last = records[-1]
        super().__init__(
            topic=tp.topic,
            partition=tp.partition,
            offset=last.offset,
            timestamp=last.timestamp / 1_000,
            timestamp_type=last.timestamp_type,
            headers=None,
            key=None,
            value=None,
            checksum=None,
            tp=tp,
            generation_id=generation,
        )
        self.begin = begin
        self.records = [record_of(record) for record in records]


def record_of(record: ConsumerRecord[bytes, bytes]) -> Record:
    """Return what aiokafka has read as the record that the stages take."""
    return Record(
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        timestamp_ms=record.timestamp,
        key=record.key,
        value=record.value,
        headers=tuple(record.headers),
    )


class WholeFetches(SchedulingStrategyT):  # type: ignore[misc]
    """Yields all fetched records of a partition as one; Faust's own yields them one by one."""

    def __init__(self) -> None:
        pass

    def iterate(self, records: Mapping[TP, list[Any]]) -> Iterator[tuple[TP, list[Any]]]:
        """Yield each partition that has records."""
        return ((tp, fetched) for tp, fetched in records.items() if fetched)


@dataclass(slots=True)
class _Log:
    """All offsets below `fetched` reached the agent, and those below `handled` are handled."""

    fetched: int
    handled: int
    committed: int


@dataclass(slots=True)
class HandledOffsets:
    """How far each assigned partition is handled.

    Law: commit never passes work. If an agent ends with a fetch in its hands, the partition is not
    committed beyond it until it is assigned again, and with it the records that were lost.
    """

    _logs: dict[TP, _Log] = field(default_factory=dict, init=False)

    def fetched(self, tp: TP, first: int, end: int) -> int:
        """Note that the records from `first` to below `end` were fetched; returns where they begin."""
        log = self._logs.setdefault(tp, _Log(first, first, first))
        # They are before `log.fetched` if the consumer went back to what is committed.
        begin = min(log.fetched, first)
        log.fetched = end
        return begin

    def handled(self, tp: TP, begin: int, end: int) -> None:
        """Note that the offsets from `begin` to below `end` are handled."""
        log = self._logs.get(tp)
        if log is not None and begin <= log.handled:
            log.handled = max(log.handled, end)

    def uncommitted(self) -> dict[TP, int]:
        """Return the offset to commit of each partition that has one."""
        return {tp: log.handled for tp, log in self._logs.items() if log.handled > log.committed}

    def committed(self, offsets: Mapping[TP, int]) -> None:
        """Note that the broker has these offsets."""
        for tp, offset in offsets.items():
            if tp in self._logs:
                self._logs[tp].committed = offset

    def positions(self) -> dict[TP, tuple[int, int]]:
        """Return the next offset to fetch of each partition, and what the broker has of it as handled."""
        return {tp: (log.fetched, log.committed) for tp, log in self._logs.items()}

    def forget(self, tps: Collection[TP]) -> None:
        """Forget partitions that are no longer assigned: another worker may be further."""
        for tp in tps:
            self._logs.pop(tp, None)
