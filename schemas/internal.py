"""The records of the pipeline's own topics `edges`, `fanout` and `renditions`.

An edge is packed into 27 bytes, and a record of `edges` has up to `EDGES_A_RECORD_MAX` of them,
because workers decode millions of edges a minute. The other records are JSON, because there are far
fewer: a fan-out record covers about a thousand timelines.
"""

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeVar

import orjson

from schemas.ids import PhotoId, UserId

Model = TypeVar("Model")

_EDGE = struct.Struct(">BBBqqq")
_EDGE_VERSION = 1
EDGES_A_RECORD_MAX = 50


class SetKind(StrEnum):
    """The counted sets: who follows an author, who likes a photo, which photos of an author are ready."""

    FOLLOWERS = "followers"
    LIKERS = "likers"
    READY_PHOTOS = "ready_photos"


# The number of each set in the records of the topic `edges`. The numbers never change, because
# older records in the log have them too.
_SET_NUMBERS = {SetKind.FOLLOWERS: 0, SetKind.LIKERS: 1, SetKind.READY_PHOTOS: 2}
_SETS = {number: kind for kind, number in _SET_NUMBERS.items()}

# The `time_us` of changes to the set of an author's ready photos. A photo joins at 1. If it is deleted or
# rejected, it leaves at the end of the year 9999; older workers said 2. The later time wins, so it never
# joins again, not even by a repair as of now.
READY_TIME_US, LEFT_TIME_US = 1, 253_402_300_799_000_000


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


def encode_edges(edges: Sequence[EdgeRecord]) -> bytes:
    """The edges one after the other, 27 bytes each."""
    return b"".join(edge.encode() for edge in edges)


def decode_edges(value: bytes) -> list[EdgeRecord]:
    """Read a record of `edges`, in the order of its edges.

    Raises:
        ValueError: The value is not edges of this version, or a set is unknown; this process may be
            too old to read it.
    """
    if not value or len(value) % _EDGE.size:
        raise ValueError(
            f"{len(value)} bytes are not edges of {_EDGE.size} bytes: {value[: _EDGE.size].hex()}"
        )
    edges = []
    for version, number, removed, member, owner, time_us in _EDGE.iter_unpack(value):
        if version != _EDGE_VERSION or number not in _SETS:
            raise ValueError(f"not an edge of version {_EDGE_VERSION}: version {version}, set {number}")
        edges.append(EdgeRecord(_SETS[number], member, owner, time_us, bool(removed)))
    return edges


# The header of a record of `edges` that asks for a recount. Such a record has no value, so that an older
# worker skips it.
RECOUNT = "recount"
_BUCKET = struct.Struct(">BqBi")
# The set, its owner, level and bucket.
Bucket = tuple[SetKind, int, int, int]


def encode_recount(buckets: Sequence[Bucket]) -> bytes:
    """The buckets one after the other, 14 bytes each."""
    return b"".join(_BUCKET.pack(_SET_NUMBERS[kind], *bucket) for kind, *bucket in buckets)


def decode_recount(value: bytes) -> list[Bucket]:
    """Read the header `RECOUNT`.

    Raises:
        ValueError: The bytes are not buckets, or a set is unknown.
    """
    if len(value) % _BUCKET.size:
        raise ValueError(f"{len(value)} bytes are not buckets of {_BUCKET.size} bytes: {value.hex()}")
    buckets = list(_BUCKET.iter_unpack(value))
    if unknown := {number for number, *_ in buckets} - _SETS.keys():
        raise ValueError(f"a recount of unknown sets: {sorted(unknown)}")
    return [(_SETS[number], *bucket) for number, *bucket in buckets]


@dataclass(frozen=True, slots=True)
class FanoutPage:
    """Put a photo on the timelines of its author's followers in `buckets` buckets, from `bucket` on.

    `ready_ms`: when the photo became ready, milliseconds since 1970, to measure freshness. `stamp`: the
    stamp of the set's total, as read after the photo was in its author's list; 0 if it is not known.
    """

    photo_id: PhotoId
    author_id: UserId
    level: int
    bucket: int
    ready_ms: int
    # Older records name one bucket each, and no stamp.
    buckets: int = 1
    stamp: int = 0


@dataclass(frozen=True, slots=True)
class OwnPost:
    """Put a photo on its author's own timeline."""

    photo_id: PhotoId
    author_id: UserId
    ready_ms: int


@dataclass(frozen=True, slots=True)
class FanoutPosts:
    """Put each of several photos on its author's own timeline and on those of all followers.

    `posts`: photo, author, and the level and the stamp of the set of followers. The other fields are as
    in `FanoutPage`.
    """

    ready_ms: int
    posts: tuple[tuple[PhotoId, UserId, int, int], ...]


@dataclass(frozen=True, slots=True)
class Backfill:
    """Merge authors' newest photos into the timelines of new followers: pairs of (owner, author)."""

    follows: tuple[tuple[UserId, UserId], ...]


# The header of a record of `fanout` that says how many deliveries it may be, in decimal digits. It is not
# among the fields, so that an older worker reads the record.
DELIVERIES = "deliveries"
Deliverable = FanoutPosts | FanoutPage | OwnPost
FanoutRecord = Deliverable | Backfill
_TYPES: dict[str, type[FanoutPosts | FanoutPage | OwnPost | Backfill]] = {
    "posts": FanoutPosts,
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
        ValueError: The value is not such a record, or this process is too old to read it.
    """
    return _decode(value, _TYPES, "fanout")


@dataclass(frozen=True, slots=True)
class ThumbnailTask:
    """Make a photo's thumbnail; the photo is then ready.

    `queued_ms`: when the original was known to be in the bucket, milliseconds since 1970.
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
    """Remove our objects of a deleted or rejected photo from the bucket and from the CDN edges.

    `object_keys` are the renditions that the photo's row names; the CDN edges purge them. If
    `original` is false, the original stays: the cleaning removes it after a grace time.
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
        ValueError: The value is not such a record, or this process is too old to read it.
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
    """Turn a list of JSON into the tuple that records hold: of numbers, names or pairs."""
    if not isinstance(field, list):
        return field
    return tuple(tuple(element) if isinstance(element, list) else element for element in field)
