"""The events that upstream apps publish, and how they are decoded and encoded.

Everything from outside enters the pipeline through `decode_event`. What it returns is typed,
in range, and has the right key and a plausible time.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import NoReturn

import orjson
from pydantic import TypeAdapter, ValidationError

from schemas.envelope import (
    CONTENT_TYPE,
    SPEC_VERSION,
    STRUCTURED_MEDIA_TYPE,
    Envelope,
    PoisonEvent,
    Reason,
    Record,
    open_envelope,
)
from schemas.facts import (
    EventData,
    FollowChange,
    PhotoDeleted,
    PhotoLiked,
    PhotoUnliked,
    PhotoUploaded,
    UserFollowed,
    UserUnfollowed,
)
from schemas.ids import PhotoId, UserId, id_ms, parse_id
from schemas.quoting import quoted
from schemas.sentences import validation_sentences
from schemas.times import rfc3339, utc_datetime

FUTURE_MS_MAX = 5 * 60_000
# The API checked its own events against the clock of its own host. That clock may differ from
# ours, so these events may be one more minute ahead.
OWN_FUTURE_MS_MAX = FUTURE_MS_MAX + 60_000


class EventType(StrEnum):
    """`ce_type`: the fact and its version."""

    PHOTO_UPLOADED = "photo.uploaded.v1"
    PHOTO_DELETED = "photo.deleted.v1"
    USER_FOLLOWED = "user.followed.v1"
    USER_UNFOLLOWED = "user.unfollowed.v1"
    PHOTO_LIKED = "photo.liked.v1"
    PHOTO_UNLIKED = "photo.unliked.v1"


@dataclass(frozen=True, slots=True)
class EventKind:
    """What the contract states about one event type."""

    topic_name: str
    model: type[EventData]
    key_field: str


EVENT_KINDS: Mapping[EventType, EventKind] = MappingProxyType(
    {
        EventType.PHOTO_UPLOADED: EventKind("uploads", PhotoUploaded, "author_id"),
        EventType.PHOTO_DELETED: EventKind("uploads", PhotoDeleted, "author_id"),
        EventType.USER_FOLLOWED: EventKind("follows", UserFollowed, "follower_id"),
        EventType.USER_UNFOLLOWED: EventKind("follows", UserUnfollowed, "follower_id"),
        EventType.PHOTO_LIKED: EventKind("likes", PhotoLiked, "photo_id"),
        EventType.PHOTO_UNLIKED: EventKind("likes", PhotoUnliked, "photo_id"),
    }
)

# Built once: building an adapter takes a millisecond, validating with it some microseconds.
_ADAPTERS: Mapping[EventType, TypeAdapter[EventData]] = MappingProxyType(
    {event_type: TypeAdapter(kind.model) for event_type, kind in EVENT_KINDS.items()}
)


# No time that an event can have is later.
_NEVER_MS = 2**62


@dataclass(frozen=True, slots=True)
class Event:
    """An event that has passed every check that needs no store."""

    id: str
    source: str
    type: EventType
    time_us: int
    data: EventData


def decode_event(topic_name: str, record: Record, now_ms: int, *, own_source: str, own_prefix: str) -> Event:
    """Return the event in a record of the topic `topic_name` (its name in the catalogue).

    `own_source` is the `ce_source` of this system's API, whose clock gets a minute of slack.
    `own_prefix` begins the keys of this system's own objects in the media bucket.

    Raises:
        PoisonEvent: Names the first rule that is broken, in this order: the envelope,
            `unknown_type`, `invalid_data`, `self_follow`, `key_mismatch`, `from_the_future`.
    """
    envelope = open_envelope(record)
    event_type = _known_type(topic_name, envelope.type)
    data = _valid_data(event_type, envelope.data)
    if isinstance(data, FollowChange) and data.follower_id == data.followee_id:
        _poison(
            Reason.SELF_FOLLOW, f"follower_id and followee_id are both {data.follower_id}, but must differ"
        )
    if isinstance(data, PhotoUploaded):
        _check_objects(data, own_prefix)
    _check_key(event_type, data, record.key)
    _check_clock(envelope, data, now_ms, own_source)
    return Event(envelope.id, envelope.source, event_type, envelope.time_us, data)


def claimed_upload(record: Record, own_source: str) -> tuple[PhotoId, UserId] | None:
    """Return photo and author of a `photo.uploaded` that this system's API published, though it is poison.

    Only the API writes a photo's row before its event. None for every other record, and for one that
    does not even have valid ids.
    """
    try:
        envelope = open_envelope(record)
        if (envelope.source, envelope.type) != (own_source, EventType.PHOTO_UPLOADED):
            return None
        ids = (parse_id(envelope.data.get(name)) for name in ("photo_id", "author_id"))
        return PhotoId(next(ids)), UserId(next(ids))
    except (PoisonEvent, ValueError):
        return None


def claimed_change(topic_name: str, record: Record, own_source: str) -> Event | None:
    """Return the event that this system's API published in a record, though its time is from the future.

    None for every other record, and for one that is poison for another reason.
    """
    try:
        event = decode_event(topic_name, record, _NEVER_MS, own_source=own_source, own_prefix="")
    except PoisonEvent:
        return None
    return event if event.source == own_source else None


def encode_event(
    event_type: EventType,
    data: EventData,
    *,
    id: str,  # noqa: A002 - CloudEvents' name.
    source: str,
    time_us: int,
) -> tuple[bytes, bytes, list[tuple[str, bytes]]]:
    """Return key, value and headers of the event in binary mode, as this system publishes it."""
    headers = [
        ("ce_specversion", SPEC_VERSION.encode()),
        ("ce_id", id.encode()),
        ("ce_source", source.encode()),
        ("ce_type", event_type.encode()),
        ("ce_time", rfc3339(utc_datetime(time_us)).encode()),
        (CONTENT_TYPE, b"application/json"),
    ]
    return _key(event_type, data), orjson.dumps(_json_data(data)), headers


def encode_structured(
    event_type: EventType,
    data: EventData,
    *,
    id: str,  # noqa: A002 - CloudEvents' name.
    source: str,
    time_us: int,
) -> tuple[bytes, bytes, list[tuple[str, bytes]]]:
    """Return key, value and headers of the event in structured mode."""
    key = _key(event_type, data)
    event = {
        "specversion": SPEC_VERSION,
        "id": id,
        "source": source,
        "type": event_type.value,
        "time": rfc3339(utc_datetime(time_us)),
        "datacontenttype": "application/json",
        "partitionkey": key.decode(),
        "data": _json_data(data),
    }
    return key, orjson.dumps(event), [(CONTENT_TYPE, STRUCTURED_MEDIA_TYPE.encode())]


def _json_data(data: EventData) -> dict[str, object]:
    return data.model_dump(mode="json", exclude_none=True)


def _key(event_type: EventType, data: EventData) -> bytes:
    """Return the event's key: the id in its key field, as decimal text."""
    return b"%d" % getattr(data, EVENT_KINDS[event_type].key_field)


def _known_type(topic_name: str, name: str) -> EventType:
    try:
        event_type = EventType(name)
    except ValueError:
        _poison(Reason.UNKNOWN_TYPE, f"type is {quoted(name)}, but must be one of {_types_of(topic_name)}")
    if EVENT_KINDS[event_type].topic_name != topic_name:
        _poison(
            Reason.UNKNOWN_TYPE, f"type is '{name}', but {topic_name} carries only {_types_of(topic_name)}"
        )
    return event_type


def _types_of(topic_name: str) -> str:
    return ", ".join(event_type for event_type, kind in EVENT_KINDS.items() if kind.topic_name == topic_name)


def _valid_data(event_type: EventType, raw: dict[str, object]) -> EventData:
    try:
        return _ADAPTERS[event_type].validate_python(raw)
    except ValidationError as error:
        _poison(Reason.INVALID_DATA, validation_sentences(error)[0])


def _check_objects(photo: PhotoUploaded, own_prefix: str) -> None:
    """Refuse keys that would show an original, or another photo's objects, under a signed URL."""
    own_original = f"{own_prefix}originals/{photo.photo_id}"
    if photo.object_key.startswith(own_prefix) and photo.object_key != own_original:
        _poison(
            Reason.INVALID_DATA,
            f"object_key is {quoted(photo.object_key)}, but under {own_prefix} it must be {own_original}",
        )
    own_renditions = f"{own_prefix}renditions/{photo.photo_id}/"
    for name, rendition in (photo.renditions or {}).items():
        key = rendition.object_key
        if key == photo.object_key:
            _poison(
                Reason.INVALID_DATA, f"renditions.{name}.object_key is {quoted(key)}, which is the original"
            )
        if key.startswith(own_prefix) and not key.startswith(own_renditions):
            _poison(
                Reason.INVALID_DATA,
                f"renditions.{name}.object_key is {quoted(key)}, "
                f"but under {own_prefix} it must be under {own_renditions}",
            )


def _check_key(event_type: EventType, data: EventData, key: bytes | None) -> None:
    expected = _key(event_type, data)
    if key != expected:
        field = EVENT_KINDS[event_type].key_field
        _poison(Reason.KEY_MISMATCH, f"the key is {quoted(key)}, but must be {field}, {quoted(expected)}")


def _check_clock(envelope: Envelope, data: EventData, now_ms: int, own_source: str) -> None:
    ahead_ms_max = OWN_FUTURE_MS_MAX if envelope.source == own_source else FUTURE_MS_MAX
    latest_ms = now_ms + ahead_ms_max
    if envelope.time_us > latest_ms * 1_000:
        _poison(
            Reason.FROM_THE_FUTURE,
            f"time is {rfc3339(utc_datetime(envelope.time_us))}, "
            f"more than {ahead_ms_max} ms ahead of the clock",
        )
    if not isinstance(data, FollowChange) and id_ms(data.photo_id) > latest_ms:
        _poison(
            Reason.FROM_THE_FUTURE,
            f"photo_id is {data.photo_id}, minted at {rfc3339(utc_datetime(id_ms(data.photo_id) * 1_000))}, "
            f"more than {ahead_ms_max} ms ahead of the clock",
        )


def _poison(reason: Reason, error: str) -> NoReturn:
    raise PoisonEvent(reason, error)
