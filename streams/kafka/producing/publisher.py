"""Publish this system's own events to topics that upstream apps also write."""

from collections.abc import Callable
from uuid import uuid4

from schemas.events import encode_event
from schemas.facts import EventData
from streams.kafka.producing.producer import Outgoing, Producer
from topics.catalogue import UPLOADS
from topics.partitioning import partition_of
from topics.routing import route_of


class KafkaPublisher:
    """Publishes events; all in-sync replicas have acknowledged an event when `publish` returns."""

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

    async def publish(self, event_data: EventData, *, time_us: int) -> None:
        """Publish one event to the topic of its class.

        Raises:
            StoreUnavailable: The event may have been published; publishing it again is harmless.
        """
        route = route_of(event_data)
        key, value, headers = encode_event(
            route.event_type, event_data, id=self._new_id(), source=self._source, time_us=time_us
        )
        topic, partition = route.topic.named(self._namespace), partition_of(route.topic, route.key_id)
        await self._producer.send([Outgoing(topic, partition, key, value, headers)])

    async def ping(self) -> None:
        """Check that Kafka responds; a result of less than a second ago is reused.

        Raises:
            StoreUnavailable: Kafka does not respond, or a partition has no leader.
        """
        await self._producer.ping(UPLOADS.named(self._namespace))
