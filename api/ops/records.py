"""The record at a committed offset, for people: its key and headers, and its value for the role `ops`."""

from typing import Any

from schemas.printable import printable, value_text
from schemas.times import rfc3339, utc_datetime_of_ms
from streams.jobs.records import StoredRecord

Json = dict[str, Any]
# Of a key or a header's value.
TEXT_CHARACTERS_MAX = 500


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
            (printable(name)[:TEXT_CHARACTERS_MAX], None if content is None else _text(content))
            for name, content in record.headers
        ],
        "value_bytes": None if value is None else len(value),
        "value": None if value_bytes_max is None else _value(value, value_bytes_max),
    }


def _text(content: bytes) -> str:
    shown = printable(content[: 4 * TEXT_CHARACTERS_MAX].decode("utf-8", "backslashreplace"))
    return shown if len(shown) <= TEXT_CHARACTERS_MAX else f"{shown[:TEXT_CHARACTERS_MAX]}…"


def _value(value: bytes | None, bytes_max: int) -> str:
    # A part of JSON is no JSON: what is too long is shown as bytes.
    text = value_text(value if value is None else value[:bytes_max])
    return "\n".join(printable(line) for line in text.split("\n"))
