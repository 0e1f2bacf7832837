"""Where an event is published: its type, its topic and its key all follow from what it says."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from schemas.events import EVENT_KINDS, EventType
from schemas.facts import EventData
from topics.catalogue import CATALOGUE, Topic

_TYPES: Mapping[type[EventData], EventType] = MappingProxyType(
    {kind.model: event_type for event_type, kind in EVENT_KINDS.items()}
)


@dataclass(frozen=True, slots=True)
class EventRoute:
    """`key_id` is the id that is the record's key and decides its partition."""

    event_type: EventType
    topic: Topic
    key_id: int


def route_of(data: EventData) -> EventRoute:
    """Return the route of an event that carries `data`."""
    event_type = _TYPES[type(data)]
    kind = EVENT_KINDS[event_type]
    return EventRoute(event_type, CATALOGUE[kind.topic_name], getattr(data, kind.key_field))
