"""The headers that a dead letter has in addition to those of its record."""

from datetime import datetime

from schemas.envelope import Reason, Record
from schemas.times import rfc3339

ADDED_HEADERS = (
    "shutterline_reason",
    "shutterline_error",
    "shutterline_topic",
    "shutterline_partition",
    "shutterline_offset",
    "shutterline_timestamp",
    "shutterline_group",
    "shutterline_attempt",
    "shutterline_failed_at",
)
# Names what a dead letter lacks of its record, which would be too large with it.
LEFT_OUT_HEADER = "shutterline_left_out"
_OF_THIS_SYSTEM = {*ADDED_HEADERS, LEFT_OUT_HEADER}
# Nine names of up to 22 bytes, a topic and a group of up to 249 bytes each, and an error with a
# few quoted values of 200 characters, 4 bytes each at worst: about 3 kB for one failure, so a
# record that was replayed and failed again still fits.
DEAD_LETTER_HEADERS_BYTES_MAX = 8_192


def dead_letter_headers(
    record: Record,
    *,
    reason: Reason,
    error: str,
    group: str,
    attempt: int,
    failed_at: datetime,
    left_out: str = "",
) -> list[tuple[str, bytes | None]]:
    """Return the record's own headers, unchanged and in order, followed by the added ones.

    `left_out` names what the dead letter lacks of its record; there is no such header if it is empty.

    A header of the record that has the name of an added one is left out: a publisher may have
    forged it, or the record was replayed and its earlier failure is replaced. A NUL in a name is
    escaped, because clients in C end the name there. `attempt` counts from 1. `failed_at` must be
    aware (otherwise ValueError) and is written in UTC.
    """
    texts = (
        reason.value,
        error,
        record.topic,
        str(record.partition),
        str(record.offset),
        str(record.timestamp_ms),
        group,
        str(attempt),
        rfc3339(failed_at),
    )
    added = zip(ADDED_HEADERS, texts, strict=True)
    own = [
        (name.replace("\0", "\\x00"), value) for name, value in record.headers if name not in _OF_THIS_SYSTEM
    ]
    lacking = [(LEFT_OUT_HEADER, left_out.encode())] if left_out else []
    return [*own, *((name, text.encode()) for name, text in added), *lacking]
