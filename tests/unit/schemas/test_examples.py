"""All golden examples decode, and no example that was ever published is changed or removed."""

from hashlib import sha256

import pytest

from schemas.events import EventType, decode_event, encode_event, encode_structured
from schemas.facts import PhotoUploaded
from schemas.golden import EXAMPLES, ContentMode, Example, golden_examples
from schemas.times import parse_rfc3339_us

NOW_MS = parse_rfc3339_us("2026-02-01T00:00:00Z") // 1_000

# A new example needs a line here. A line never changes, because records with these bytes may be in
# a log.
PUBLISHED = {
    "photo.deleted.v1.binary": "69d439a8bbe4b091",
    "photo.deleted.v1.structured": "89fc8c259ea0d115",
    "photo.liked.v1.binary": "d1f602014d754eb5",
    "photo.liked.v1.structured": "aa0e1d94013307d2",
    "photo.unliked.v1.binary": "eb3f17351ffccb1f",
    "photo.unliked.v1.structured": "2aa04d7acbe2ab16",
    "photo.uploaded.v1.binary": "22d0be556ee512a6",
    "photo.uploaded.v1.binary.minimal": "e819082f2b303e1a",
    "photo.uploaded.v1.binary.renditions": "31b4166f49aefac2",
    "photo.uploaded.v1.structured": "b6b6d34d81d862f7",
    "photo.uploaded.v1.structured.minimal": "b0273884c6c7d4f3",
    "photo.uploaded.v1.structured.renditions": "815802565e3875fd",
    "user.followed.v1.binary": "81de934c1d843c73",
    "user.followed.v1.structured": "6498fec611ce4544",
    "user.unfollowed.v1.binary": "b7a5fd56ac5d9c39",
    "user.unfollowed.v1.structured": "75bfa92b05f6f3c7",
}


def test_the_published_examples_are_kept_as_they_were() -> None:
    """Every file has its digest in this list, and every digest of the list has its file."""
    found = {
        path.stem: sha256(path.read_bytes()).hexdigest()[:16] for path in EXAMPLES.iterdir() if path.is_file()
    }

    assert found == PUBLISHED


def test_there_is_an_example_of_every_event_in_both_modes() -> None:
    """A new event without an example fails here."""
    expected = {(event_type, mode) for event_type in EventType for mode in ContentMode}

    assert expected == {(example.type, example.mode) for example in golden_examples()}


@pytest.mark.parametrize("example", golden_examples(), ids=lambda example: example.name)
def test_an_example_decodes_to_what_it_says(example: Example) -> None:
    """It decodes to the model of its type, with the ids and texts of its data."""
    data = example.document["data"]
    assert isinstance(data, dict)

    event = decode_event(
        example.record.topic, example.record, NOW_MS, own_source="/shutterline/api", own_prefix="shutterline/"
    )

    assert event.type is example.type
    written = event.data.model_dump(exclude_none=True)
    assert {name: str(data[name]) for name in data if name.endswith("_id")} == {
        name: str(value) for name, value in written.items() if name.endswith("_id")
    }
    if isinstance(event.data, PhotoUploaded):
        assert data.get("caption", "") == event.data.caption
        assert data.get("renditions") == written.get("renditions")


@pytest.mark.parametrize("example", golden_examples(), ids=lambda example: example.name)
def test_what_we_write_of_an_example_decodes_to_the_same_event(example: Example) -> None:
    """So a consumer cannot distinguish our events from those of other publishers."""
    event = decode_event(
        example.record.topic, example.record, NOW_MS, own_source="", own_prefix="shutterline/"
    )
    encode = encode_event if example.mode is ContentMode.BINARY else encode_structured
    key, value, headers = encode(
        event.type, event.data, id=event.id, source=event.source, time_us=event.time_us
    )

    assert key == example.record.key
    again = type(example.record)("x", 0, 0, 0, key, value, tuple(headers))
    assert (
        decode_event(example.record.topic, again, NOW_MS, own_source="", own_prefix="shutterline/") == event
    )
