"""The golden examples of the internal topics' records.

During a rolling deploy, new code reads records that older code wrote, so it must decode
all examples.

A file is `TOPIC.RECORD.vVERSION.json`. It has the record's `fields`, and its bytes: as `value_hex`
for an edge, which is binary, and as the text `value` for the others, which are JSON.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from hashlib import sha256
from typing import get_args

import orjson
import pytest

from schemas.golden import EXAMPLES
from schemas.internal import (
    EdgeRecord,
    FanoutRecord,
    RenditionTask,
    SetKind,
    decode_edges,
    decode_fanout,
    decode_task,
    encode_edges,
    encode_fanout,
    encode_task,
)

InternalRecord = EdgeRecord | FanoutRecord | RenditionTask

INTERNAL_EXAMPLES = EXAMPLES / "internal"

# Each new example gets a line here. A line never changes: the bytes may still be in a log.
PUBLISHED = {
    "edges.followers.v1": "c66d4d21ef0efa8d",
    "edges.likers.v1": "2eba88e879d2da1b",
    "edges.ready_photos.v1": "6b879d907ae460a9",
    "fanout.backfill.v1": "8103e29783dac2a4",
    "fanout.own.v1": "fd50da5994bc9d02",
    "fanout.page.v1": "78f61d27ef43067b",
    "fanout.page.v2": "057a2a3f72c02bd8",
    "fanout.posts.v1": "0cb323d231465c06",
    "renditions.full.v1": "2193cf4f185ce69f",
    "renditions.removal.v1": "725a374d6eab1454",
    "renditions.thumbnail.v1": "349da53b5bd79f82",
}


def decode_edge(value: bytes) -> EdgeRecord:
    [edge] = decode_edges(value)
    return edge


DECODE: dict[str, Callable[[bytes], InternalRecord]] = {
    "edges": decode_edge,
    "fanout": decode_fanout,
    "renditions": decode_task,
}


@dataclass(frozen=True, slots=True)
class InternalExample:
    """One file: the record's fields as JSON values, and its bytes."""

    name: str
    topic: str
    record_type: str
    version: int
    fields: dict[str, object]
    value: bytes

    def decode(self) -> InternalRecord:
        return DECODE[self.topic](self.value)


def internal_examples() -> list[InternalExample]:
    examples = []
    for path in sorted(INTERNAL_EXAMPLES.glob("*.json")):
        topic, record_type, version = path.stem.split(".")
        document = orjson.loads(path.read_bytes())
        value = bytes.fromhex(document["value_hex"]) if topic == "edges" else document["value"].encode()
        number = int(version.removeprefix("v"))
        examples.append(InternalExample(path.stem, topic, record_type, number, document["fields"], value))
    return examples


def todays_examples() -> list[InternalExample]:
    """Return the example of the highest version of each record type."""
    by_type = {
        (example.topic, example.record_type): example
        for example in sorted(internal_examples(), key=lambda example: example.version)
    }
    return list(by_type.values())


def encode(record: InternalRecord) -> bytes:
    if isinstance(record, EdgeRecord):
        return encode_edges([record])
    if isinstance(record, FanoutRecord):
        return encode_fanout(record)
    return encode_task(record)


def as_json(value: object) -> object:
    """Return the value as a JSON file has it: tuples become lists, and enum members texts."""
    return orjson.loads(orjson.dumps(value))


def test_the_published_examples_are_unchanged() -> None:
    """Every file has its digest here, and every digest its file."""
    digests = {path.stem: sha256(path.read_bytes()).hexdigest()[:16] for path in INTERNAL_EXAMPLES.iterdir()}

    assert digests == PUBLISHED


def test_there_is_an_example_of_every_record_type() -> None:
    """A new record type, or a new set, without an example fails here."""
    decoded = [example.decode() for example in internal_examples()]

    assert {type(record) for record in decoded} == set(get_args(InternalRecord))
    assert {record.kind for record in decoded if isinstance(record, EdgeRecord)} == set(SetKind)
    assert {record.removed for record in decoded if isinstance(record, EdgeRecord)} == {False, True}


@pytest.mark.parametrize("example", internal_examples(), ids=lambda example: example.name)
def test_an_example_of_any_version_decodes_to_its_stated_fields(example: InternalExample) -> None:
    """A field may be added with a default; a stated one keeps its name and its value."""
    record = example.decode()

    assert {name: as_json(getattr(record, name)) for name in example.fields} == example.fields


@pytest.mark.parametrize("example", todays_examples(), ids=lambda example: example.name)
def test_todays_record_is_todays_example_byte_for_byte(example: InternalExample) -> None:
    """The record has exactly the stated fields, and encodes to exactly the stated bytes."""
    record = example.decode()

    assert as_json(asdict(record)) == example.fields
    assert encode(record) == example.value
