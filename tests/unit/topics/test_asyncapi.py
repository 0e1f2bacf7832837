"""The AsyncAPI document: complete, self-contained, and true to what the code accepts."""

from collections.abc import Iterator
from typing import Any

import pytest

from schemas.dead_letter_headers import ADDED_HEADERS, LEFT_OUT_HEADER
from schemas.envelope import Reason
from schemas.events import EVENT_KINDS, EventType
from schemas.golden import golden_examples
from topics.asyncapi import asyncapi_document
from topics.catalogue import CATALOGUE, OUTSIDE, dead_letter_of

DOCUMENT = asyncapi_document()
SCHEMAS = DOCUMENT["components"]["schemas"]
MESSAGES = DOCUMENT["components"]["messages"]


def members(node: object, name: str) -> Iterator[Any]:
    """Every value of a member of this name, at any depth."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key == name:
                yield value
            yield from members(value, name)
    elif isinstance(node, list):
        for element in node:
            yield from members(element, name)


def resolved(reference: str) -> Any:
    assert reference.startswith("#/")
    node: Any = DOCUMENT
    for part in reference[2:].split("/"):
        node = node[part]
    return node


def test_it_has_every_topic_that_others_write_and_its_dead_letter_topic() -> None:
    """It does not have the pipeline's internal topics."""
    expected = {topic.name for topic in OUTSIDE} | {dead_letter_of(topic).name for topic in OUTSIDE}

    assert expected == set(DOCUMENT["channels"])
    assert DOCUMENT["asyncapi"] == "3.0.0"


def test_every_reference_leads_somewhere() -> None:
    """The document is complete without any other file."""
    references = list(members(DOCUMENT, "$ref"))

    assert len(references) > 20
    for reference in references:
        assert resolved(reference)


@pytest.mark.parametrize("topic", OUTSIDE, ids=lambda topic: topic.name)
def test_a_topic_has_a_message_for_each_of_its_events_in_both_modes(topic: Any) -> None:
    """The Kafka binding has the maximum record size."""
    channel = DOCUMENT["channels"][topic.name]
    binding = channel["bindings"]["kafka"]

    assert set(channel["messages"]) == {
        f"{event_type}.{mode}" for event_type in topic.event_types for mode in ("binary", "structured")
    }
    assert str(binding["topicConfiguration"]["max.message.bytes"]) == topic.config["max.message.bytes"]


def test_every_channel_has_its_operation() -> None:
    """We receive from the public topics and send to the dead-letter topics."""
    actions = {
        operation["channel"]["$ref"]: operation["action"] for operation in DOCUMENT["operations"].values()
    }

    assert actions == {
        f"#/channels/{name}": "send" if name.endswith("-dlq") else "receive" for name in DOCUMENT["channels"]
    }
    assert set(CATALOGUE) > set(DOCUMENT["channels"])


@pytest.mark.parametrize("event_type", EventType)
def test_a_binary_message_requires_the_attributes_as_headers(event_type: EventType) -> None:
    """The headers are the five attributes of the contract, and the payload is the event's model."""
    message = MESSAGES[f"{event_type}.binary"]

    assert message["headers"]["required"] == ["ce_specversion", "ce_id", "ce_source", "ce_type", "ce_time"]
    assert message["headers"]["properties"]["ce_type"] == {"const": event_type.value}
    assert resolved(message["payload"]["$ref"])["title"] == EVENT_KINDS[event_type].model.__name__


@pytest.mark.parametrize("event_type", EventType)
def test_a_structured_message_requires_the_attributes_in_the_value(event_type: EventType) -> None:
    """The content type is the only required header."""
    message = MESSAGES[f"{event_type}.structured"]

    assert message["payload"]["required"] == ["specversion", "id", "source", "type", "time", "data"]
    assert message["headers"]["required"] == ["content-type"]


@pytest.mark.parametrize("event_type", EventType)
def test_a_models_schema_requires_what_its_decoder_requires(event_type: EventType) -> None:
    """The schema is generated from the decoder's model, so they cannot differ."""
    model = EVENT_KINDS[event_type].model
    schema = SCHEMAS[model.__name__]

    assert schema["required"] == [name for name, field in model.model_fields.items() if field.is_required()]
    assert set(schema["properties"]) == set(model.model_fields)


def test_ids_are_described_as_strings_or_integers() -> None:
    """A string has a pattern, an integer has bounds."""
    assert SCHEMAS["PhotoLiked"]["properties"]["photo_id"]["oneOf"] == [
        {"type": "string", "pattern": "^[1-9][0-9]{0,18}$"},
        {"type": "integer", "minimum": 1, "maximum": 2**63 - 1},
    ]


def test_every_golden_example_is_shown_with_its_message() -> None:
    """Each example is shown once, with headers and payload."""
    shown = [example for message in MESSAGES.values() for example in message.get("examples", [])]

    assert sorted(example["name"] for example in shown) == [example.name for example in golden_examples()]
    assert all(example["headers"] and example["payload"] for example in shown)


def test_a_dead_letter_has_the_headers_that_are_added() -> None:
    """The schema lists every reason of the contract."""
    headers = MESSAGES["dead-letter"]["headers"]

    assert headers["required"] == list(ADDED_HEADERS)
    assert LEFT_OUT_HEADER in headers["properties"]
    assert headers["properties"]["shutterline_reason"]["enum"] == list(Reason)
