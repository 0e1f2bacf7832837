"""What the API asks of Kafka."""

from typing import Protocol

from schemas.events import EventData, EventType
from topics.catalogue import Topic


class EventPublisher(Protocol):
    """Publishes events to the topics that others write, too."""

    async def publish(
        self, topic: Topic, key_id: int, event_type: EventType, data: EventData, *, time_us: int
    ) -> None:
        """Publish one event; acknowledged by all in-sync replicas when it returns.

        Raises:
            StoreUnavailable: It may be there all the same; publishing it again is harmless.
        """
