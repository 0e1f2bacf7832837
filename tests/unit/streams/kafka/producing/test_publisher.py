"""An event of the API: its id is told to the request, its trace goes on."""

from typing import Any

from schemas.facts import UserFollowed
from schemas.ids import UserId
from streams.kafka.producing.publisher import KafkaPublisher
from streams.telemetry import tracing
from streams.telemetry.causes import collecting_published
from streams.telemetry.tracing import Kind
from tests.unit.streams.telemetry.spans import traced
from tests.worlds.kafka import LOCAL
from tests.worlds.worker import FakeProducer

EVENT = UserFollowed(follower_id=UserId(1), followee_id=UserId(2))
ATTRIBUTES = {"ce_specversion", "ce_id", "ce_source", "ce_type", "ce_time", "content-type"}


class SizedProducer(FakeProducer):
    def sizes(self) -> object:
        return LOCAL


def publisher(producer: Any) -> KafkaPublisher:
    return KafkaPublisher(producer, namespace="t.", source="/api", new_id=lambda: "e1")


async def test_the_request_learns_the_id_of_its_event() -> None:
    """Before the acknowledgement, which may not come although the record was written."""
    producer = SizedProducer()
    with collecting_published() as published:
        await publisher(producer).publish(EVENT, time_us=1)

    [record] = producer.sent
    assert (["e1"], b"e1") == (published, dict(record.headers)["ce_id"])
    assert ATTRIBUTES == {name for name, _ in record.headers}


async def test_the_record_continues_the_trace_of_the_request() -> None:
    """By a span of its own, which is how long Kafka took."""
    producer = SizedProducer()
    with traced() as exporter:
        tracer = tracing.current()
        assert tracer is not None
        with tracer.span("PUT", Kind.SERVER, {}):
            await publisher(producer).publish(EVENT, time_us=1)

    published, request = exporter.get_finished_spans()
    assert published.context is not None
    assert request.context is not None
    assert published.parent is not None
    assert ("publish user.followed.v1", request.context.span_id) == (published.name, published.parent.span_id)
    headers = dict(producer.sent[0].headers)
    assert ATTRIBUTES | {"traceparent"} == headers.keys()
    ids = f"{published.context.trace_id:032x}-{published.context.span_id:016x}"
    assert ids.encode() in (headers["traceparent"] or b"")
