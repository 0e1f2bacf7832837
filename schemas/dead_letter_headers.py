"""The headers that a dead letter has in addition to those of its record: written, and read again."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from schemas.envelope import Reason, Record
from schemas.times import parse_rfc3339_us, rfc3339

Headers = Sequence[tuple[str, bytes | None]]

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
ATTEMPT_HEADER = "shutterline_attempt"
# Nobody replays a record as often. What is larger was not written by this system.
_ATTEMPT = re.compile(rb"[1-9][0-9]{0,5}")
_NUMBER = re.compile(r"[0-9]{1,19}")
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
    failed_at: datetime,
    left_out: str = "",
) -> list[tuple[str, bytes | None]]:
    """Return the record's own headers, unchanged and in order, followed by the added ones.

    `left_out` names what the dead letter lacks of its record; there is no such header if it is empty.

    A header of the record that has the name of an added one is left out: a publisher may have
    forged it, or the record was replayed and its earlier failure is replaced. Only its attempt is
    carried on, see `attempt_of`. A NUL in a name is escaped, because clients in C end the name there.
    `failed_at` must be aware (otherwise ValueError) and is written in UTC.
    """
    texts = (
        reason.value,
        error,
        record.topic,
        str(record.partition),
        str(record.offset),
        str(record.timestamp_ms),
        group,
        str(attempt_of(record.headers)),
        rfc3339(failed_at),
    )
    added = zip(ADDED_HEADERS, texts, strict=True)
    own = [(name.replace("\0", "\\x00"), value) for name, value in own_headers(record.headers)]
    lacking = [(LEFT_OUT_HEADER, left_out.encode())] if left_out else []
    return [*own, *((name, text.encode()) for name, text in added), *lacking]


def own_headers(headers: Headers) -> list[tuple[str, bytes | None]]:
    """Return those headers of a record or a dead letter that this system did not add."""
    return [(name, value) for name, value in headers if name not in _OF_THIS_SYSTEM]


def attempt_of(headers: Headers) -> int:
    """Return which attempt to handle a record this is: 1 for the first, one more with each replay.

    Only a replay adds the header. A publisher may have forged it, and then what it says holds for its own
    record; what is no number from 1 to 999,999 is the first attempt.
    """
    attempt = dict(headers).get(ATTEMPT_HEADER) or b""
    return int(attempt) if _ATTEMPT.fullmatch(attempt) else 1


def replay_headers(headers: Headers) -> list[tuple[str, bytes | None]]:
    """Return the headers with which a dead letter is published again: its record's, and the next attempt."""
    return [*own_headers(headers), (ATTEMPT_HEADER, str(attempt_of(headers) + 1).encode())]


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """What the added headers say. `reason` may be one that only a later version knows."""

    reason: str
    error: str
    partition: int
    offset: int
    group: str
    attempt: int
    failed_at_us: int
    left_out: str


def failure_of(headers: Headers) -> Failure | None:
    """Read the added headers; None if one is missing or malformed, so that this system did not write them."""
    raw = dict(headers)
    texts = {name: (raw.get(name) or b"").decode("utf-8", "replace") for name in _OF_THIS_SYSTEM}
    partition, offset = texts["shutterline_partition"], texts["shutterline_offset"]
    if not (texts["shutterline_reason"] and _NUMBER.fullmatch(partition) and _NUMBER.fullmatch(offset)):
        return None
    try:
        failed_at_us = parse_rfc3339_us(texts["shutterline_failed_at"])
    except ValueError:
        return None
    return Failure(
        reason=texts["shutterline_reason"],
        error=texts["shutterline_error"],
        partition=int(partition),
        offset=int(offset),
        group=texts["shutterline_group"],
        attempt=attempt_of(headers),
        failed_at_us=failed_at_us,
        left_out=texts[LEFT_OUT_HEADER],
    )
