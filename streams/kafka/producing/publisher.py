"""Publish this system's own events to topics that upstream apps also write."""

from collections.abc import Callable
from uuid import uuid4

from schemas.events import encode_event
from schemas.facts import EventData
from streams.kafka.producing.producer import Outgoing, Producer
from topics.catalogue import UPLOADS
from topics.routing import route_of


class KafkaPublisher:
    """Publishes events; all in-sync replicas have acknowledged an event when `publish` returns.

    `producer` refuses to tell partitions until its topics are compared with the profile.
    """

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
        partition = self._producer.sizes().partition_of(route.topic, route.key_id)
        await self._producer.send(
            [Outgoing(route.topic.named(self._namespace), partition, key, value, headers)]
        )

    async def ping(self) -> None:
        """Check that Kafka responds; a result of less than a second ago is reused.

        Raises:
            StoreUnavailable: Kafka does not respond, a partition has no leader, or the topics were not
                compared with the profile yet.
        """
        self._producer.sizes()
        await self._producer.ping(UPLOADS.named(self._namespace))
