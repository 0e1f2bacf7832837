"""Publish events of this system's own to the topics that others write, too."""

from collections.abc import Callable
from uuid import uuid4

from schemas.events import EventData, EventType, encode_event
from streams.kafka.producing.producer import Outgoing, Producer
from topics.catalogue import UPLOADS, Topic
from topics.partitioning import partition_of


class KafkaPublisher:
    """Each event is acknowledged by all in-sync replicas when `publish` returns."""

    def __init__(
        self,
        producer: Producer,
        *,
        namespace: str,
        source: str,
        new_id: Callable[[], str] = lambda: str(uuid4()),
    ) -> None:
        self._producer = producer
        self._namespace = namespace
        self._source = source
        self._new_id = new_id

    async def publish(
        self, topic: Topic, key_id: int, event_type: EventType, data: EventData, *, time_us: int
    ) -> None:
        """Publish one event.

        Raises:
            StoreUnavailable: It may be there all the same; publishing it again is harmless.
        """
        key, value, headers = encode_event(
            event_type, data, id=self._new_id(), source=self._source, time_us=time_us
        )
        await self._producer.send(
            [Outgoing(topic.named(self._namespace), partition_of(topic, key_id), key, value, headers)]
        )

    async def ping(self) -> None:
        """Ask whether Kafka answers; an answer of less than a second ago counts.

        Raises:
            StoreUnavailable: It does not.
        """
        await self._producer.ping(UPLOADS.named(self._namespace))
