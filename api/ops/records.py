"""The record at a committed offset, for people: its key and headers, and its value for the role `ops`."""

from typing import Any

from schemas.printable import printable, value_text
from schemas.times import rfc3339, utc_datetime_of_ms
from streams.jobs.records import StoredRecord

Json = dict[str, Any]
# Of a key, or of a header's name or value.
TEXT_CHARACTERS_MAX = 500
HEADERS_MAX = 50
# Indents make nested JSON many times as long as its bytes.
VALUE_CHARACTERS_MAX = 100_000


def record_of(record: StoredRecord, *, value_bytes_max: int | None) -> Json:
    """Return what the page shows; without `value_bytes_max` the value is left out, and only its size is said.

    Everything in a record comes from others, so what is not printable is escaped.
    """
    value = record.value
    return {
        "offset": record.offset,
        "time": rfc3339(utc_datetime_of_ms(record.timestamp_ms)) if record.timestamp_ms > 0 else None,
        "key": None if record.key is None else _text(record.key),
        "headers": [
            (_cut(name), None if content is None else _text(content))
            for name, content in record.headers[:HEADERS_MAX]
        ],
        "headers_left_out": max(0, len(record.headers) - HEADERS_MAX),
        "value_bytes": None if value is None else len(value),
        "value": None if value_bytes_max is None else _value(value, value_bytes_max),
    }


def _text(content: bytes) -> str:
    return _cut(content[: 4 * (TEXT_CHARACTERS_MAX + 1)].decode("utf-8", "backslashreplace"))


def _cut(text: str) -> str:
    """Return the text as it may be shown; what is too long is cut, also where escapes make it so."""
    shown = printable(text[: TEXT_CHARACTERS_MAX + 1])
    return shown if len(shown) <= TEXT_CHARACTERS_MAX else f"{shown[:TEXT_CHARACTERS_MAX]}…"


def _value(value: bytes | None, bytes_max: int) -> str:
    # A part of JSON is no JSON: what is too long is shown as bytes.
    text = value_text(value if value is None else value[:bytes_max], VALUE_CHARACTERS_MAX)
    lines = text[: VALUE_CHARACTERS_MAX + 1].split("\n")
    shown = "\n".join(printable(line) for line in lines)
    if len(shown) <= VALUE_CHARACTERS_MAX:
        return shown
    return f"{shown[:VALUE_CHARACTERS_MAX]}…\nAbove {VALUE_CHARACTERS_MAX:,} characters the rest is left out."
