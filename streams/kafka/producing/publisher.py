"""Publish this system's own events to topics that upstream apps also write."""

from collections.abc import Callable
from functools import partial
from uuid import uuid4

from schemas.events import encode_event
from schemas.facts import EventData
from streams.kafka.producing.producer import Outgoing, Producer
from streams.telemetry import tracing
from streams.telemetry.causes import TRACEPARENT, note_published
from streams.telemetry.tracing import Kind
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
        route, event_id = route_of(event_data), self._new_id()
        key, value, headers = encode_event(
            route.event_type, event_data, id=event_id, source=self._source, time_us=time_us
        )
        partition = self._producer.sizes().partition_of(route.topic, route.key_id)
        topic = route.topic.named(self._namespace)
        outgoing = partial(Outgoing, topic, partition, key, value)
        note_published(event_id)
        traced = tracing.current()
        if traced is None:
            await self._producer.send([outgoing(headers)])
            return
        attributes = {"messaging.destination.name": topic, "cloudevents.event_id": event_id}
        with traced.span(f"publish {route.event_type}", Kind.PRODUCER, attributes) as span:
            await self._producer.send([outgoing([*headers, (TRACEPARENT, span.traceparent.encode())])])

    async def ping(self) -> None:
        """Check that Kafka responds; a result of less than a second ago is reused.

        Raises:
            StoreUnavailable: Kafka does not respond, a partition has no leader, or the topics were not
                compared with the profile yet.
        """
        self._producer.sizes()
        await self._producer.ping(UPLOADS.named(self._namespace))
