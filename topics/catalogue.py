"""Every topic of the pipeline: what it carries, its lanes, who writes and who reads it.

How many partitions it has depends on the size of the system: `topics/sizes.py`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

from schemas.dead_letter_headers import DEAD_LETTER_HEADERS_BYTES_MAX
from schemas.events import EVENT_KINDS, EventType

_DAY_MS = 24 * 60 * 60 * 1_000

RECORD_BYTES_MAX = 1_048_576  # The largest value that publishers may send: 1 MiB.
# Key, headers and the batch's own framing come on top of the value.
MESSAGE_BYTES_MAX = RECORD_BYTES_MAX + 65_536
DEAD_LETTER_BYTES_MAX = MESSAGE_BYTES_MAX + DEAD_LETTER_HEADERS_BYTES_MAX


class Participant(StrEnum):
    """A program that writes or reads topics; those of the pipeline have the name of their consumer group."""

    UPSTREAM_APPS = "upstream apps"
    API = "api"
    CHECK = "check"
    EDGES = "edges"
    FANOUT_NORMAL = "fanout-normal"
    FANOUT_BULK = "fanout-bulk"
    RENDITIONS_THUMBNAIL = "renditions-thumbnail"
    RENDITIONS_FULL = "renditions-full"
    CLEANING = "cleaning"
    OPERATORS = "operators"


class Lane(StrEnum):
    """A range of a topic's partitions with its own consumer group and its own budget."""

    NORMAL = "normal"
    BULK = "bulk"
    THUMBNAIL = "thumbnail"
    FULL = "full"


@dataclass(frozen=True, slots=True, kw_only=True)
class Topic:
    """One topic; `lanes`, where there are any, in the order of their partitions."""

    name: str
    key: str
    retention_ms: int
    owner: str
    producers: tuple[Participant, ...]
    consumers: tuple[Participant, ...]
    lanes: tuple[Lane, ...] = ()
    event_types: tuple[EventType, ...] = ()
    message_bytes_max: int = MESSAGE_BYTES_MAX
    # Records get the broker's time when they are appended, instead of their producer's.
    broker_time: bool = False
    config: Mapping[str, str] = field(init=False, compare=False)

    def __post_init__(self) -> None:
        config = {
            "cleanup.policy": "delete",
            "retention.ms": str(self.retention_ms),
            "max.message.bytes": str(self.message_bytes_max),
        }
        if self.broker_time:
            config["message.timestamp.type"] = "LogAppendTime"
        object.__setattr__(self, "config", MappingProxyType(config))

    def named(self, namespace: str) -> str:
        """The name on the broker: the namespace, empty in production, and the catalogue name."""
        return f"{namespace}{self.name}"


def _types_on(name: str) -> tuple[EventType, ...]:
    return tuple(event_type for event_type, kind in EVENT_KINDS.items() if kind.topic_name == name)


def _outside(name: str, key: str, producers: tuple[Participant, ...]) -> Topic:
    """A topic that upstream apps write, as well as `producers`."""
    return Topic(
        name=name,
        key=key,
        retention_ms=7 * _DAY_MS,
        owner="pipeline",
        # Operators replay dead letters.
        producers=(Participant.UPSTREAM_APPS, *producers, Participant.OPERATORS),
        consumers=(Participant.CHECK,),
        event_types=_types_on(name),
    )


def _dead_letters(topic: Topic) -> Topic:
    """The topic for records of `topic` that can never succeed: bytes unchanged, headers added."""
    return Topic(
        name=f"{topic.name}-dlq",
        key=topic.key,
        retention_ms=30 * _DAY_MS,
        owner=topic.owner,
        producers=topic.consumers,
        consumers=(Participant.OPERATORS,),
        event_types=topic.event_types,
        message_bytes_max=DEAD_LETTER_BYTES_MAX,
    )


UPLOADS = _outside("uploads", "author_id", (Participant.API, Participant.CLEANING))
FOLLOWS = _outside("follows", "follower_id", (Participant.API,))
LIKES = _outside("likes", "photo_id", (Participant.API,))

EDGES = Topic(
    name="edges",
    key="owner_id",
    retention_ms=7 * _DAY_MS,
    owner="pipeline",
    # Follows and likes; and ready photos, which join the set of their author's ready photos and
    # leave it when they are deleted or rejected. The audit states edges again, and asks for recounts.
    producers=(
        Participant.CHECK,
        Participant.EDGES,
        Participant.RENDITIONS_THUMBNAIL,
        Participant.RENDITIONS_FULL,
        Participant.CLEANING,
        Participant.OPERATORS,
    ),
    consumers=(Participant.EDGES,),
)
FANOUT = Topic(
    name="fanout",
    key="author_id",
    lanes=(Lane.NORMAL, Lane.BULK),
    # Days, not hours: if Redis restarts with older data, workers repair it from this log.
    retention_ms=2 * _DAY_MS,
    owner="pipeline",
    # Pages of ready photos; backfills of new follows; pages of posts that were deferred.
    producers=(
        Participant.CHECK,
        Participant.RENDITIONS_THUMBNAIL,
        Participant.EDGES,
        Participant.FANOUT_BULK,
    ),
    consumers=(Participant.FANOUT_NORMAL, Participant.FANOUT_BULK),
)
RENDITIONS = Topic(
    name="renditions",
    key="photo_id",
    lanes=(Lane.THUMBNAIL, Lane.FULL),
    retention_ms=7 * _DAY_MS,
    owner="pipeline",
    # Thumbnail tasks, then full ones, and removals of deleted or rejected photos.
    producers=(
        Participant.CHECK,
        Participant.RENDITIONS_THUMBNAIL,
        Participant.RENDITIONS_FULL,
        Participant.CLEANING,
    ),
    consumers=(Participant.RENDITIONS_THUMBNAIL, Participant.RENDITIONS_FULL),
)

# Each process writes an empty record a minute, and learns the broker's time from the acknowledgement. An
# API process writes one a second, too, while somebody asks whether it is ready.
CLOCK = Topic(
    name="clock",
    key="none",
    retention_ms=60 * 60 * 1_000,
    owner="pipeline",
    producers=(Participant.API, Participant.CHECK),
    # For looking: the processes themselves read the acknowledgements only.
    consumers=(Participant.OPERATORS,),
    broker_time=True,
)

# What too much work has switched on or off, and what operators have done to dead letters: for the people who
# operate the system, and for audits.
OPERATIONS = Topic(
    name="operations",
    key="switch or run",
    retention_ms=90 * _DAY_MS,
    owner="pipeline",
    producers=(
        Participant.CHECK,
        Participant.EDGES,
        Participant.FANOUT_NORMAL,
        Participant.FANOUT_BULK,
        Participant.RENDITIONS_THUMBNAIL,
        Participant.RENDITIONS_FULL,
        Participant.OPERATORS,
    ),
    consumers=(Participant.OPERATORS,),
)

OUTSIDE = (UPLOADS, FOLLOWS, LIKES)
_DEAD_LETTERS_OF: Mapping[str, Topic] = MappingProxyType(
    {topic.name: _dead_letters(topic) for topic in OUTSIDE}
)

CATALOGUE: Mapping[str, Topic] = MappingProxyType(
    {
        topic.name: topic
        for topic in (*OUTSIDE, EDGES, FANOUT, RENDITIONS, CLOCK, OPERATIONS, *_DEAD_LETTERS_OF.values())
    }
)


def topics_with_dead_letters() -> tuple[Topic, ...]:
    """Every topic whose records may become dead letters, in the order of the catalogue."""
    return tuple(topic for topic in CATALOGUE.values() if topic.name in _DEAD_LETTERS_OF)


def dead_letter_of(topic: Topic) -> Topic:
    """The dead-letter topic of a topic that upstream apps write.

    Raises:
        ValueError: The topic is one of the pipeline's own, whose records are never dead-lettered.
    """
    dead_letters = _DEAD_LETTERS_OF.get(topic.name)
    if dead_letters is None:
        raise ValueError(
            f"{topic.name} has no dead-letter topic; only {', '.join(_DEAD_LETTERS_OF)} have one"
        )
    return dead_letters
