"""What a dead letter says of itself: headers added to those of the record that cannot succeed."""

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
# Nine names of up to 22 bytes, a topic and a group of up to 249 each, and an error of some
# quoted values of 200 characters, 4 bytes each at worst: about 3 KB at once, so that a
# record that was replayed and failed again still fits.
DEAD_LETTER_HEADERS_BYTES_MAX = 8_192


def dead_letter_headers(
    record: Record, *, reason: Reason, error: str, group: str, attempt: int, failed_at: datetime
) -> list[tuple[str, bytes | None]]:
    """The record's own headers, all of them, in order, byte for byte; then what happened to it.

    `attempt` counts from 1. A replayed record that fails again has its earlier
    `shutterline_...` headers, too; of a repeated header the last counts. `failed_at` is
    written in UTC and must be aware, otherwise ValueError.
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
    return [*record.headers, *((name, text.encode()) for name, text in added)]
