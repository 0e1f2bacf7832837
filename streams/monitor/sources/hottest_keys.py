"""Of the lanes where records wait: which key most of the next records have in their worst partition."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from schemas.printable import printable
from streams.errors import StoreUnavailable
from streams.jobs.records import RecordLog, StoredRecord

Json = dict[str, Any]
# Below, no key is hot. As for the state HOT.
LAG_MESSAGES_MIN = 100
# The next records of a partition, and the partitions of one look: each opens a client of its own.
RECORDS = 100
PARTITIONS_MAX = 4
KEY_CHARACTERS_MAX = 40
PACKED_BYTES = 8  # Of an id, as our own topics have it.


@dataclass(slots=True)
class HottestKeys:
    """What was found in the last look."""

    log: RecordLog
    _found: Sequence[Json] = field(default=(), init=False)

    async def read(self, report: Json | None) -> None:
        """Read some of what waits by the monitor's report: one partition a lane, of the worst lanes.

        Of a partition that cannot be read nothing is known.
        """
        found = []
        for lane, partition in _worst(report):
            offset = max(partition["committed"] or 0, partition["start"])
            try:
                records = await self.log.read(
                    lane["topic"], partition["partition"], offset, records_max=RECORDS
                )
            except StoreUnavailable:
                continue
            hottest = hottest_key(records)
            if hottest is not None:
                key, count = hottest
                found.append(
                    {
                        "group": lane["group"],
                        "topic": lane["topic"],
                        "partition": partition["partition"],
                        "key": key,
                        "records": count,
                        "of_records": len(records),
                    }
                )
        self._found = found

    def json(self) -> Sequence[Json]:
        """Return the hottest key of each partition that was read, with how many records have it."""
        return self._found


def hottest_key(records: Sequence[StoredRecord]) -> tuple[str, int] | None:
    """Return the key that most of the records have, and how many; None if no key occurs twice."""
    counted = Counter(record.key for record in records if record.key is not None).most_common(1)
    if not counted or counted[0][1] < 2:
        return None
    key, count = counted[0]
    return _shown(key), count


def _shown(key: bytes) -> str:
    """Return the key for people: an id of our own topics as decimal, anything else as it is."""
    if len(key) == PACKED_BYTES and not key.isdigit():
        return str(int.from_bytes(key, "big"))
    text = printable(key[: 4 * KEY_CHARACTERS_MAX].decode("utf-8", "backslashreplace"))
    return text if len(text) <= KEY_CHARACTERS_MAX else f"{text[:KEY_CHARACTERS_MAX]}…"


def _worst(report: Json | None) -> Iterator[tuple[Json, Json]]:
    """Yield the lanes where most waits, each with its partition where most waits."""
    lanes = [
        (topic | {"group": group["group"]}, max(topic["partitions"], key=_lag))
        for group in (report or {"groups": []})["groups"]
        for topic in group["topics"]
        if topic["partitions"]
    ]
    worst = sorted(lanes, key=lambda lane: -_lag(lane[1]))[:PARTITIONS_MAX]
    yield from (lane for lane in worst if _lag(lane[1]) >= LAG_MESSAGES_MIN)


def _lag(partition: Json) -> int:
    return partition["lag_messages"] or 0
