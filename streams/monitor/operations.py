"""The newest records of the topic `operations`: moves of switches, and runs over dead letters."""

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, Protocol

import orjson

from streams.jobs.records import RecordLog, StoredRecord

Json = dict[str, Any]
READ_AT_ONCE = 100


class LogBounds(Protocol):
    """The bounds of logs; `offsets.Offsets` implements it. Both raise StoreUnavailable."""

    async def begins(self, partitions: Iterable[tuple[str, int]]) -> Mapping[tuple[str, int], int]: ...

    async def ends(self, partitions: Iterable[tuple[str, int]]) -> Mapping[tuple[str, int], int]: ...


@dataclass(slots=True)
class OperationsTail:
    """Remembers the last `records_max` records of `topic`, which has one partition.

    `clock_s` is monotonic; `read_s` is when the last reading began.
    """

    log: RecordLog
    bounds: LogBounds
    topic: str
    records_max: int
    clock_s: Callable[[], float] = monotonic
    read_s: float = field(default=float("-inf"), init=False)
    _records: deque[Json] = field(init=False)
    _position: int | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self._records = deque(maxlen=self.records_max)

    def newest(self) -> Sequence[Json]:
        """Return the records, the newest first."""
        return list(reversed(self._records))

    async def read(self) -> None:
        """Read what is new; the first call begins so far before the end that `records_max` fit.

        Raises:
            StoreUnavailable: Kafka did not respond; what was read before stays known.
        """
        began_s = self.clock_s()
        partition = (self.topic, 0)
        end = (await self.bounds.ends([partition]))[partition]
        if self._position is None or self._position > end:  # At the start, or the topic was created again.
            begin = (await self.bounds.begins([partition]))[partition]
            self._position = max(begin, end - self.records_max)
        while self._position < end:
            records = await self.log.read(*partition, self._position, records_max=READ_AT_ONCE)
            if not records:
                self._position = end
            for record in records:
                self._add(record)
                self._position = record.offset + 1
        self.read_s = began_s

    def _add(self, record: StoredRecord) -> None:
        try:
            decoded = orjson.loads(record.value or b"")
        except orjson.JSONDecodeError:
            return  # Nobody but this system writes here, so it is no record of ours.
        if isinstance(decoded, dict):
            self._records.append({"offset": record.offset, **decoded})
