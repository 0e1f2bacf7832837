"""Records as they are in a log, for people who look at them; `streams/kafka` implements the port."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from schemas.dead_letter_headers import Headers


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRecord:
    """A record with Kafka's time of it."""

    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: Headers


class RecordLog(Protocol):
    """Reads logs, without a consumer group."""

    async def read(
        self, topic: str, partition: int, offset: int, *, records_max: int
    ) -> Sequence[StoredRecord]:
        """Return the first records at or after the offset; fewer if the log ends. `topic` is its name there.

        Raises:
            StoreUnavailable: Kafka did not respond in time.
        """
