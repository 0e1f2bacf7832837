"""The records of the pipeline's own topics `edges`, `fanout` and `renditions`.

An edge is 27 bytes, because millions of them are decoded a minute; the rest is JSON,
because a record is a page of up to a thousand timelines.
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeVar

import orjson

from schemas.ids import PhotoId, UserId

Model = TypeVar("Model")

_EDGE = struct.Struct(">BBBqqq")
_EDGE_VERSION = 1


class SetKind(StrEnum):
    """The counted sets: who follows an author, who likes a photo, which photos of an author are ready."""

    FOLLOWERS = "followers"
    LIKERS = "likers"
    READY_PHOTOS = "ready_photos"


# What the topic `edges` calls each set. The numbers never change.
_SET_NUMBERS = {SetKind.FOLLOWERS: 0, SetKind.LIKERS: 1, SetKind.READY_PHOTOS: 2}
_SETS = {number: kind for kind, number in _SET_NUMBERS.items()}

# In the set of an author's ready photos a photo joins at 1 and leaves at 2, for good:
# deleted, or rejected after all.
READY_TIME_US, LEFT_TIME_US = 1, 2


@dataclass(frozen=True, slots=True)
class EdgeRecord:
    """`member` is in (or, when `removed`, out of) the set `kind` of `owner` as of `time_us`."""

    kind: SetKind
    member: int
    owner: int
    time_us: int
    removed: bool

    def encode(self) -> bytes:
        number = _SET_NUMBERS[self.kind]
        return _EDGE.pack(_EDGE_VERSION, number, self.removed, self.member, self.owner, self.time_us)


def decode_edge(value: bytes) -> EdgeRecord:
    """Read an edge.

    Raises:
        ValueError: Another version or set, which this process is too old for.
    """
    if len(value) != _EDGE.size or value[0] != _EDGE_VERSION or value[1] not in _SETS:
        raise ValueError(f"not an edge of version {_EDGE_VERSION}: {value[: _EDGE.size].hex()}")
    _, number, removed, member, owner, time_us = _EDGE.unpack(value)
    kind = _SETS[number]
    return EdgeRecord(kind=kind, member=member, owner=owner, time_us=time_us, removed=bool(removed))


@dataclass(frozen=True, slots=True)
class FanoutPage:
    """Put a photo on the timelines of one bucket of its author's followers.

    `ready_ms`: when the photo became ready, milliseconds since 1970, for freshness.
    """

    photo_id: PhotoId
    author_id: UserId
    level: int
    bucket: int
    ready_ms: int


@dataclass(frozen=True, slots=True)
class OwnPost:
    """Put a photo on its author's own timeline."""

    photo_id: PhotoId
    author_id: UserId
    ready_ms: int


@dataclass(frozen=True, slots=True)
class Backfill:
    """Merge authors' newest photos into the timelines of new followers: pairs of (owner, author)."""

    follows: tuple[tuple[UserId, UserId], ...]


FanoutRecord = FanoutPage | OwnPost | Backfill
_TYPES: dict[str, type[FanoutPage | OwnPost | Backfill]] = {
    "page": FanoutPage,
    "own": OwnPost,
    "backfill": Backfill,
}
_NAMES = {model: name for name, model in _TYPES.items()}


def encode_fanout(record: FanoutRecord) -> bytes:
    """The record as JSON, with its type in `t`."""
    return _encode(record, _NAMES[type(record)])


def decode_fanout(value: bytes) -> FanoutRecord:
    """Read a record of `fanout`.

    Raises:
        ValueError: Not one of ours, or of a version that this process is too old for.
    """
    return _decode(value, _TYPES, "fanout")


@dataclass(frozen=True, slots=True)
class ThumbnailTask:
    """Make a photo's thumbnail, and with it the photo ready.

    `queued_ms`: when its original was known to be there, milliseconds since 1970.
    """

    photo_id: PhotoId
    author_id: UserId
    object_key: str
    queued_ms: int


@dataclass(frozen=True, slots=True)
class FullTask:
    """Make a photo's three larger renditions. Fields as of `ThumbnailTask`."""

    photo_id: PhotoId
    author_id: UserId
    object_key: str
    queued_ms: int


@dataclass(frozen=True, slots=True)
class RemovalTask:
    """Remove all objects of ours that a deleted or rejected photo has, and what edges keep of it.

    `object_keys` are its renditions' as far as the photo's row names them. Without `original`
    that stays: a rejected photo's goes after a grace time.
    """

    photo_id: PhotoId
    object_keys: tuple[str, ...]
    original: bool


RenditionTask = ThumbnailTask | FullTask | RemovalTask
_TASK_TYPES: dict[str, type[ThumbnailTask | FullTask | RemovalTask]] = {
    "thumbnail": ThumbnailTask,
    "full": FullTask,
    "removal": RemovalTask,
}
_TASK_NAMES = {model: name for name, model in _TASK_TYPES.items()}


def encode_task(task: RenditionTask) -> bytes:
    """The task as JSON, with its type in `t`."""
    return _encode(task, _TASK_NAMES[type(task)])


def decode_task(value: bytes) -> RenditionTask:
    """Read a record of `renditions`.

    Raises:
        ValueError: Not one of ours, or of a version that this process is too old for.
    """
    return _decode(value, _TASK_TYPES, "renditions")


def _encode(record: FanoutRecord | RenditionTask, name: str) -> bytes:
    fields = {field: getattr(record, field) for field in record.__dataclass_fields__}
    return orjson.dumps({"t": name, **fields})


def _decode(value: bytes, types: Mapping[str, type[Model]], topic: str) -> Model:
    try:
        fields: dict[str, Any] = orjson.loads(value)
        model = types[fields.pop("t")]
        return model(**{name: _frozen(field) for name, field in fields.items()})
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not a record of {topic} ({error!r}): {value[:200]!r}") from error


def _frozen(field: object) -> object:
    """Records hold tuples, of numbers, names or pairs; JSON has lists."""
    if not isinstance(field, list):
        return field
    return tuple(tuple(element) if isinstance(element, list) else element for element in field)
