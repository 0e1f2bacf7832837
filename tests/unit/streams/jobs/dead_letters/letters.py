"""Dead letters in memory: their log, what is published again, and the topic `operations`."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from schemas.dead_letter_headers import Headers, dead_letter_headers, failure_of
from schemas.envelope import Reason, Record
from schemas.times import utc_datetime_of_ms
from streams.core.dead_letters import DeadLetter
from streams.errors import StoreUnavailable
from streams.jobs.dead_letters.ports import DeadLetterLog, OperationsLog, Replays
from topics.catalogue import LIKES, Topic

NOW_MS = 1_800_000_000_000
BATCH_LETTERS = 3


def letter(
    offset: int,
    *,
    topic: Topic = LIKES,
    reason: Reason = Reason.NOT_JSON,
    failed_ms: int = NOW_MS,
    attempt: int = 1,
    key: bytes | None = b"7",
    value: bytes | None = b"{",
    headers: Headers = (("ce_id", b"e1"), ("trace", None)),
    left_out: str = "",
) -> DeadLetter:
    """The dead letter of a record at the offset 100 + `offset` of partition 1."""
    attempts = (("shutterline_attempt", str(attempt).encode()),) if attempt > 1 else ()
    record = Record(topic.name, 1, 100 + offset, failed_ms - 1_000, key, value, (*headers, *attempts))
    added = dead_letter_headers(
        record,
        reason=reason,
        error=f"the value is {offset}, but must be JSON",
        group="check",
        failed_at=utc_datetime_of_ms(failed_ms),
        left_out=left_out,
    )
    return DeadLetter(
        topic=topic,
        partition=0,
        offset=offset,
        timestamp_ms=failed_ms,
        key=key,
        value=value,
        headers=tuple(added),
        failure=failure_of(added),
    )


@dataclass
class MemoryLog(DeadLetterLog):
    """`letters` in the order of their offsets; `starts` has what retention has removed, by topic."""

    letters: list[DeadLetter]
    starts: dict[str, int] = field(default_factory=dict)
    read_offsets: list[int] = field(default_factory=list)

    async def offsets(self, topic: Topic) -> Mapping[int, range]:
        held = [held.offset for held in self.letters if held.topic is topic]
        start = self.starts.get(topic.name, 0)
        return {0: range(start, max(start, held[-1] + 1) if held else start)}

    async def read(
        self, topic: Topic, partition: int, offsets: range
    ) -> AsyncGenerator[Sequence[DeadLetter], None]:
        held = [held for held in self.letters if held.topic is topic and held.offset in offsets]
        for at in range(0, len(held), BATCH_LETTERS):
            self.read_offsets += [read.offset for read in held[at : at + BATCH_LETTERS]]
            yield held[at : at + BATCH_LETTERS]


@dataclass
class MemoryReplays(Replays):
    """`published` in order; the call number `fail_at` raises `fail_with` after it published."""

    published: list[DeadLetter] = field(default_factory=list)
    fail_at: int = 0
    fail_with: Exception = field(
        default_factory=lambda: StoreUnavailable("kafka", "produce", "not acknowledged")
    )
    calls: int = 0

    async def publish(self, letters: Sequence[DeadLetter]) -> None:
        self.calls += 1
        self.published += letters
        if self.calls == self.fail_at:
            raise self.fail_with

    @property
    def offsets(self) -> list[int]:
        return [published.offset for published in self.published]


@dataclass
class MemoryOperations(OperationsLog):
    """The decoded `records` by their order."""

    records: list[dict[str, Any]] = field(default_factory=list)

    async def announce(self, subject: str, record: bytes) -> None:
        decoded = orjson.loads(record)
        assert decoded["run"] == subject
        self.records.append(decoded)

    @property
    def states(self) -> list[str]:
        return [record["state"] for record in self.records]
