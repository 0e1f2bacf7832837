"""Open the CloudEvents 1.0 envelope of a Kafka record, in either mode of the Kafka binding.

Binary mode: attributes are headers named `ce_...`, the value is the data. Structured mode:
`content-type: application/cloudevents+json`, the value is the whole event. As the binding
says, header names are compared as they are (lower case), and the content type alone
distinguishes the modes. If a header or a JSON key occurs twice, the last one counts.
"""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import NoReturn

import orjson

from schemas.media_types import media_type
from schemas.quoting import quoted
from schemas.times import parse_rfc3339_us

CONTENT_TYPE = "content-type"
STRUCTURED_MEDIA_TYPE = "application/cloudevents+json"
SPEC_VERSION = "1.0"


class Reason(StrEnum):
    """Why a record can never succeed; its dead letter states it."""

    NOT_CLOUDEVENT = "not_cloudevent"
    MISSING_ATTRIBUTE = "missing_attribute"
    UNKNOWN_TYPE = "unknown_type"
    NOT_JSON = "not_json"
    INVALID_DATA = "invalid_data"
    KEY_MISMATCH = "key_mismatch"
    SELF_FOLLOW = "self_follow"
    AUTHOR_CONFLICT = "author_conflict"
    FROM_THE_FUTURE = "from_the_future"


class PoisonEvent(Exception):
    """The event can never succeed, however often it is retried; it belongs on the dead-letter topic.

    `error` is a sentence that names the value (shortened) and the rule.
    """

    def __init__(self, reason: Reason, error: str) -> None:
        super().__init__(reason, error)
        self.reason = reason
        self.error = error

    def __str__(self) -> str:
        return f"{self.reason}: {self.error}"


@dataclass(frozen=True, slots=True)
class Record:
    """One Kafka record as it was received, not decoded; its bytes are unchanged."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]


@dataclass(frozen=True, slots=True)
class Envelope:
    """A CloudEvent whose attributes are well formed; `type` and `data` are not checked yet."""

    id: str
    source: str
    type: str
    time_us: int
    data: dict[str, object]


def open_envelope(record: Record) -> Envelope:
    """Return the CloudEvent in a record.

    Raises:
        PoisonEvent: With `not_cloudevent`, `missing_attribute` or `not_json`. The function
            raises nothing else, whatever the bytes are.
    """
    headers = dict(record.headers)
    stated = media_type((headers.get(CONTENT_TYPE) or b"").decode("latin-1"))
    if stated == STRUCTURED_MEDIA_TYPE:
        return _open_structured(record.value)
    if stated.startswith("application/cloudevents"):
        _poison(
            Reason.NOT_CLOUDEVENT,
            f"content-type is {quoted(stated)}, but structured events must be {STRUCTURED_MEDIA_TYPE}",
        )
    return _open_binary(headers, record.value)


def source_of(record: Record) -> str | None:
    """Return the source that a record names, although it may be no valid event otherwise.

    Returns None if the source is missing, empty or cannot be read. Anybody can write any source
    into a record, so the answer says whom to ask, and proves nothing.
    """
    return _claimed(record, "source")


def id_of(record: Record) -> str | None:
    """Return the event's id that a record names, as `source_of` does its source."""
    return _claimed(record, "id")


def _claimed(record: Record, attribute: str) -> str | None:
    headers = dict(record.headers)
    if media_type((headers.get(CONTENT_TYPE) or b"").decode("latin-1")) == STRUCTURED_MEDIA_TYPE:
        try:
            event: object = orjson.loads(record.value or b"")
        except orjson.JSONDecodeError:
            return None
        value = event.get(attribute) if isinstance(event, dict) else None
        return value if isinstance(value, str) and value else None
    try:
        return (headers.get(f"ce_{attribute}") or b"").decode() or None
    except UnicodeDecodeError:
        return None


def _open_binary(headers: Mapping[str, bytes | None], value: bytes | None) -> Envelope:
    version = headers.get("ce_specversion")
    if version is None:
        _poison(
            Reason.NOT_CLOUDEVENT,
            f"the record has neither a ce_specversion header nor the content-type {STRUCTURED_MEDIA_TYPE}",
        )
    _check_version(version.decode("utf-8", "replace"))
    return Envelope(
        id=_header_text(headers, "ce_id"),
        source=_header_text(headers, "ce_source"),
        type=_header_text(headers, "ce_type"),
        time_us=_time_us("ce_time", _header_text(headers, "ce_time")),
        data=_json_object("the value", value),
    )


def _open_structured(value: bytes | None) -> Envelope:
    event = _json_object("the value", value)
    _check_version(event.get("specversion"))
    return Envelope(
        id=_member_text(event, "id"),
        source=_member_text(event, "source"),
        type=_member_text(event, "type"),
        time_us=_time_us("time", _member_text(event, "time")),
        data=_structured_data(event),
    )


def _structured_data(event: Mapping[str, object]) -> dict[str, object]:
    """`data`, or the decoded `data_base64`: the JSON format allows one of the two."""
    plain, encoded = event.get("data"), event.get("data_base64")
    if plain is not None and encoded is not None:
        _poison(Reason.NOT_JSON, "the event has both data and data_base64, but may only have one of them")
    if encoded is None:
        return _object("data", plain)
    if not isinstance(encoded, str):
        _poison(Reason.NOT_JSON, f"data_base64 is {quoted(encoded)}, but must be a Base64 string")
    try:
        decoded = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):  # ValueError: a character that is not ASCII.
        _poison(Reason.NOT_JSON, f"data_base64 is {quoted(encoded)}, but must be a Base64 string")
    return _json_object("data_base64", decoded)


def _check_version(version: object) -> None:
    if version != SPEC_VERSION:
        _poison(Reason.NOT_CLOUDEVENT, f"specversion is {quoted(version)}, but must be '{SPEC_VERSION}'")


def _header_text(headers: Mapping[str, bytes | None], name: str) -> str:
    raw = headers.get(name)
    if not raw:
        _poison(Reason.MISSING_ATTRIBUTE, f"{name} is {quoted(raw)}, but must be a text that is not empty")
    try:
        return raw.decode()
    except UnicodeDecodeError:
        _poison(Reason.MISSING_ATTRIBUTE, f"{name} is {quoted(raw)}, but must be UTF-8")


def _member_text(event: Mapping[str, object], name: str) -> str:
    text = event.get(name)
    if not isinstance(text, str) or not text:
        _poison(Reason.MISSING_ATTRIBUTE, f"{name} is {quoted(text)}, but must be a text that is not empty")
    return text


def _time_us(name: str, text: str) -> int:
    try:
        return parse_rfc3339_us(text, name)
    except ValueError as error:
        _poison(Reason.MISSING_ATTRIBUTE, str(error))


def _json_object(name: str, value: bytes | None) -> dict[str, object]:
    if value is None:
        _poison(Reason.NOT_JSON, f"{name} is null, but must be a JSON object")
    try:
        # orjson decides what is JSON: it refuses NaN, text that is not UTF-8, lone surrogates and
        # more than 1,024 levels, and it reads integers beyond 64 bits as floats.
        parsed: object = orjson.loads(value)
    except orjson.JSONDecodeError as error:
        _poison(Reason.NOT_JSON, f"{name} is {quoted(value)}, but must be a JSON object: {error}")
    return _object(name, parsed)


def _object(name: str, value: object) -> dict[str, object]:
    if not isinstance(value, dict):
        _poison(Reason.NOT_JSON, f"{name} is {quoted(value)}, but must be a JSON object")
    return value


def _poison(reason: Reason, error: str) -> NoReturn:
    raise PoisonEvent(reason, error)
