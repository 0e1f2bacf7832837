"""The outside contract of the topics as an AsyncAPI 3.0.0 document, generated from what the code uses.

Channels are the topics that upstream apps write, and their dead-letter topics. Message schemas
come from the models that decode the events; examples are the golden files.
"""

from typing import Any, TypeAlias

from pydantic.json_schema import models_json_schema

from schemas.dead_letter_headers import ADDED_HEADERS, LEFT_OUT_HEADER
from schemas.envelope import CONTENT_TYPE, SPEC_VERSION, STRUCTURED_MEDIA_TYPE, Reason
from schemas.events import EVENT_KINDS, EventType
from schemas.golden import ContentMode, Example, golden_examples
from topics.catalogue import OUTSIDE, RECORD_BYTES_MAX, Topic, dead_letter_of

Json: TypeAlias = dict[str, Any]

_BINDING_VERSION = "0.5.0"
_DEAD_LETTER = "dead-letter"
_TEXT: Json = {"type": "string", "minLength": 1}
_TIME: Json = {"type": "string", "format": "date-time", "description": "RFC 3339, to the microsecond."}


def asyncapi_document() -> Json:
    """The whole document. Each call returns a new one, so that a caller may add servers to it."""
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Shutterline events",
            "version": "1.0.0",
            "description": (
                "CloudEvents 1.0 over Kafka, in binary or structured mode, at most "
                f"{RECORD_BYTES_MAX} bytes a record. Events may come twice, late and in any order. What "
                "can never succeed goes to the topic's dead-letter topic, key and value unchanged. Where a "
                f"larger record was taken because it is compressed, {LEFT_OUT_HEADER} says what is missing."
            ),
        },
        "defaultContentType": "application/json",
        "channels": {
            **{topic.name: _channel(topic, _message_names(topic)) for topic in OUTSIDE},
            **{topic.name: _channel(topic, [_DEAD_LETTER]) for topic in map(dead_letter_of, OUTSIDE)},
        },
        "operations": {
            **{f"receive-{topic.name}": _operation("receive", topic) for topic in OUTSIDE},
            **{f"send-{topic.name}": _operation("send", topic) for topic in map(dead_letter_of, OUTSIDE)},
        },
        "components": {"messages": _messages(), "schemas": _schemas()},
    }


def _operation(action: str, topic: Topic) -> Json:
    return {"action": action, "channel": {"$ref": f"#/channels/{topic.name}"}}


def _channel(topic: Topic, message_names: list[str]) -> Json:
    return {
        "address": topic.name,
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in message_names},
        "bindings": {
            "kafka": {
                "topicConfiguration": {
                    "cleanup.policy": ["delete"],
                    "retention.ms": topic.retention_ms,
                    "max.message.bytes": topic.message_bytes_max,
                },
                "bindingVersion": _BINDING_VERSION,
            }
        },
    }


def _message_name(event_type: EventType, mode: ContentMode) -> str:
    return f"{event_type}.{mode}"


def _message_names(topic: Topic) -> list[str]:
    return [_message_name(event_type, mode) for event_type in topic.event_types for mode in ContentMode]


def _messages() -> Json:
    examples = golden_examples()
    return {
        **{
            _message_name(event_type, mode): _message(
                event_type,
                mode,
                [example for example in examples if (example.type, example.mode) == (event_type, mode)],
            )
            for event_type in EventType
            for mode in ContentMode
        },
        _DEAD_LETTER: _dead_letter_message(),
    }


def _message(event_type: EventType, mode: ContentMode, examples: list[Example]) -> Json:
    kind = EVENT_KINDS[event_type]
    binary = mode is ContentMode.BINARY
    model = {"$ref": f"#/components/schemas/{kind.model.__name__}"}
    key = {"type": "string", "pattern": "^[1-9][0-9]{0,18}$", "description": f"{kind.key_field}, in decimal."}
    return {
        "name": event_type.value,
        "title": f"{kind.model.__name__} ({mode} mode)",
        "summary": kind.model.__doc__,
        "contentType": "application/json" if binary else STRUCTURED_MEDIA_TYPE,
        "headers": _binary_headers(event_type) if binary else _structured_headers(),
        "payload": model if binary else _structured_payload(event_type, model),
        "bindings": {"kafka": {"key": key, "bindingVersion": _BINDING_VERSION}},
        "examples": [_message_example(example) for example in examples],
    }


def _message_example(example: Example) -> Json:
    if example.mode is ContentMode.BINARY:
        headers, payload = example.document["headers"], example.document["data"]
    else:
        headers, payload = {CONTENT_TYPE: STRUCTURED_MEDIA_TYPE}, example.document
    return {"name": example.name, "headers": headers, "payload": payload}


def _attributes(event_type: EventType) -> Json:
    return {
        "specversion": {"const": SPEC_VERSION},
        "id": _TEXT,
        "source": _TEXT,
        "type": {"const": event_type.value},
        "time": _TIME,
    }


def _required_object(properties: Json) -> Json:
    return {"type": "object", "required": list(properties), "properties": properties}


def _binary_headers(event_type: EventType) -> Json:
    return _required_object({f"ce_{name}": schema for name, schema in _attributes(event_type).items()})


def _structured_headers() -> Json:
    # A pattern and not a constant: parameters such as "; charset=utf-8" may follow.
    pattern = "^" + STRUCTURED_MEDIA_TYPE.replace("+", "\\+")
    return _required_object({CONTENT_TYPE: {"type": "string", "pattern": pattern}})


def _structured_payload(event_type: EventType, model: Json) -> Json:
    return _required_object({**_attributes(event_type), "data": model})


def _dead_letter_message() -> Json:
    added: Json = {name: {"type": "string"} for name in ADDED_HEADERS}
    added["shutterline_reason"] = {"type": "string", "enum": [reason.value for reason in Reason]}
    headers = _required_object(added)
    headers["properties"] |= {LEFT_OUT_HEADER: {"type": "string", "enum": ["value", "key, value, headers"]}}
    return {
        "name": _DEAD_LETTER,
        "title": "A record that can never succeed",
        "summary": "Key and value byte for byte, the original headers, and these after them.",
        "headers": headers,
        "payload": {
            "description": (
                "The record's own value, whatever it is; null stays null. It is null, too, "
                f"if {LEFT_OUT_HEADER} says that it was too large."
            )
        },
    }


def _schemas() -> Json:
    _, document = models_json_schema(
        [(kind.model, "validation") for kind in EVENT_KINDS.values()],
        ref_template="#/components/schemas/{model}",
    )
    schemas: Json = document["$defs"]
    return schemas
