"""The golden examples: every form of every event that was ever published.

A test decodes all of them, so no change can make records in a log unreadable. A file name is
`<type>.<mode>.json` or `<type>.<mode>.<variant>.json`. A binary example has `headers`, `key`
and `data`. A structured example is the whole event, with its key in `partitionkey`.
"""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import orjson

from schemas.envelope import CONTENT_TYPE, STRUCTURED_MEDIA_TYPE, Record
from schemas.events import EVENT_KINDS, EventType

EXAMPLES = Path(__file__).parent / "examples"


class ContentMode(StrEnum):
    """How an event is laid out in a record; the names are those of the Kafka binding."""

    BINARY = "binary"
    STRUCTURED = "structured"


@dataclass(frozen=True, slots=True)
class Example:
    """One file: its name, type and mode, its JSON, and the record that it describes."""

    name: str
    type: EventType
    mode: ContentMode
    document: dict[str, object]
    record: Record


def golden_examples() -> tuple[Example, ...]:
    """Return all examples, sorted by name."""
    return tuple(_load(path) for path in sorted(EXAMPLES.glob("*.json")))


def _load(path: Path) -> Example:
    subject, fact, version, mode_name = path.name.split(".")[:4]
    event_type = EventType(f"{subject}.{fact}.{version}")
    mode = ContentMode(mode_name)
    document = orjson.loads(path.read_bytes())
    open_record = _binary_record if mode is ContentMode.BINARY else _structured_record
    topic_name = EVENT_KINDS[event_type].topic_name
    return Example(path.stem, event_type, mode, document, open_record(topic_name, document))


def _binary_record(topic_name: str, document: dict[str, object]) -> Record:
    headers, key = document["headers"], document["key"]
    assert isinstance(headers, dict), "a binary example has a table of headers"
    assert isinstance(key, str), "a binary example has a key"
    return Record(
        topic=topic_name,
        partition=0,
        offset=0,
        timestamp_ms=0,
        key=key.encode(),
        value=orjson.dumps(document["data"]),
        headers=tuple((name, text.encode()) for name, text in headers.items()),
    )


def _structured_record(topic_name: str, document: dict[str, object]) -> Record:
    key = document["partitionkey"]
    assert isinstance(key, str), "a structured example has a partitionkey"
    return Record(
        topic=topic_name,
        partition=0,
        offset=0,
        timestamp_ms=0,
        key=key.encode(),
        value=orjson.dumps(document),
        headers=((CONTENT_TYPE, STRUCTURED_MEDIA_TYPE.encode()),),
    )
