"""An event is followed from stage to stage, by its id and by its trace."""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import UnknownError

from bench.traffic.waiting import eventually
from schemas.envelope import PoisonEvent, Reason, Record
from schemas.events import EventType, encode_event
from schemas.facts import EventData, PhotoUploaded, UserFollowed
from schemas.ids import PhotoId, UserId, first_id_at
from streams.kafka.consuming.agent import Delivered
from streams.kafka.consuming.stops import Stops
from streams.kafka.producing.producer import Outgoing
from streams.kafka.stages.check import CheckStage
from streams.kafka.stages.dead_letters import DeadLetters
from streams.kafka.stages.edges_loop import EdgesLoop
from streams.kafka.stages.renditions_lane import RenditionsLane
from streams.metrics import FRESHNESS, RENDITION_WAIT
from streams.telemetry.causes import EVENT_ID, TRACEPARENT
from streams.worker.check import event_handlers
from streams.worker.media import making_rules
from streams.worker.parts import SharedParts, delivery_rules
from tests.unit.streams.kafka.stages.test_check import Stage, bad, like
from tests.unit.streams.kafka.stages.test_edges_loop import Consumer
from tests.unit.streams.kafka.stages.test_fanout_lane import World
from tests.unit.streams.telemetry.spans import logged, traced, traces_of
from tests.worlds.kafka import LOCAL
from tests.worlds.renditions import FakeDecoder
from tests.worlds.worker import NOW_MS, FakeProducer, shared_parts
from topics.catalogue import EDGES, FANOUT, FOLLOWS, RENDITIONS, UPLOADS, Lane, Topic

AUTHOR, FOLLOWER = UserId(7), UserId(8)
PHOTO = PhotoId(first_id_at(NOW_MS - 1_000))
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SAMPLED = f"00-{TRACE}-00f067aa0ba902b7-01"
FOLLOWED = UserFollowed(follower_id=FOLLOWER, followee_id=AUTHOR)


def uploaded(**more: object) -> PhotoUploaded:
    return PhotoUploaded.model_validate(
        {
            "photo_id": PHOTO,
            "author_id": AUTHOR,
            "object_key": "app/1",
            "content_type": "image/jpeg",
            "created_at": "2027-01-15T08:00:00Z",
            "caption": "a cat of mine",
            **more,
        }
    )


READY = uploaded(renditions={"thumbnail": {"object_key": "app/t", "width": 150, "height": 100}})


class Pipeline:
    """The stages of one worker over stores in memory; what a stage has published is given to the next one."""

    def __init__(self, run_dir: Path) -> None:
        self.shared: SharedParts = shared_parts(run_dir)
        producer: Any = self.shared.producer
        self.producer: FakeProducer = producer

    async def check(
        self, topic: Topic, data: EventData, event_type: EventType, span: str | None = None
    ) -> None:
        """Let the check stage handle an event `e1`."""
        settings, shared = self.shared.settings, self.shared
        handle, _ = event_handlers(shared)[topic]
        stage = CheckStage(
            settings,
            topic,
            "check",
            handle,
            DeadLetters(self.producer, topic, "t.", "check", settings),  # type: ignore[arg-type]
            Stops(settings, shared.stores.stopped_partitions, shared.progress),
            shared.progress,
            clock_ms=lambda: NOW_MS,
        )
        key, value, headers = encode_event(event_type, data, id="e1", source="/app", time_us=NOW_MS * 1_000)
        more = [(TRACEPARENT, span.encode())] if span else []
        await stage(delivered([Record(f"t.{topic.name}", 2, 5, NOW_MS, key, value, (*headers, *more))]))

    async def renditions(self) -> None:
        lane = RenditionsLane(
            retry=self.shared.settings,
            stores=self.shared.stores,
            cdn=self.shared.stores.cdn,
            outbox=self.shared.outbox,
            decoder=FakeDecoder(),
            rules=making_rules(self.shared.settings, self.shared.settings),
            delivery_rules=delivery_rules(self.shared),
            sizes=LOCAL,
            topic="t.renditions",
            group="thumbnail",
            lane=Lane.THUMBNAIL,
            decode_slots=self.shared.decode_slots,
            progress=self.shared.progress,
        )
        await lane(delivered([record_of(outgoing) for outgoing in self.sent(RENDITIONS)]))

    async def edges(self) -> None:
        partition = TopicPartition("t.edges", 3)
        fetched = [
            SimpleNamespace(offset=at, value=outgoing.value, headers=tuple(outgoing.headers))
            for at, outgoing in enumerate(self.sent(EDGES))
        ]
        consumer = Consumer([{partition: fetched}], UnknownError())
        loop = EdgesLoop(
            consuming=self.shared.settings,
            settings=self.shared.settings.model_copy(update={"edges_linger_ms": 1}),
            retry=self.shared.settings,
            counted_sets=self.shared.stores.counted_sets,
            cache=self.shared.stores.cache,
            outbox=self.shared.outbox,
            group="edges",
            progress=self.shared.progress,
            new_consumer=lambda **_: consumer,
        )
        running = asyncio.create_task(loop.run())
        await eventually("the edges are committed", lambda: consumer.commits)
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running

    async def fanout(self) -> None:
        world = World()
        await world.begin()
        await world.lane(delivered([record_of(outgoing) for outgoing in self.sent(FANOUT)]))

    def sent(self, topic: Topic) -> Sequence[Outgoing]:
        sent = [outgoing for outgoing in self.producer.sent if outgoing.topic == topic.named("t.")]
        assert sent
        return sent

    def headers(self, topic: Topic) -> list[Mapping[str, bytes | None]]:
        return [dict(outgoing.headers) for outgoing in self.sent(topic)]


def record_of(outgoing: Outgoing) -> Record:
    return Record(outgoing.topic, 0, 0, NOW_MS, outgoing.key, outgoing.value, tuple(outgoing.headers))


def delivered(records: Sequence[Record]) -> Delivered:
    return Delivered(records, 1, lambda: True, lambda _: None)


def says(lines: Sequence[Mapping[str, Any]], event_id: str = "e1") -> list[str]:
    """What the lines say that name the event: one search finds them."""
    return [line["event"] for line in lines if event_id in (line.get("event_id"), *line.get("event_ids", ()))]


@pytest.fixture
def pipeline(tmp_path: Path) -> Pipeline:
    return Pipeline(tmp_path)


async def test_a_photo_is_found_by_its_event_from_the_event_to_the_timelines(pipeline: Pipeline) -> None:
    """Its original has not arrived, then a worker makes its thumbnail."""
    await pipeline.shared.stores.media_objects.put("app/1", b"original", content_type="image/jpeg")
    with logged() as lines:
        await pipeline.check(UPLOADS, uploaded(), EventType.PHOTO_UPLOADED)
        await pipeline.renditions()
        await pipeline.fanout()

    assert ["handled", "ready", "rendition task handled", "timelines written"] == says(lines)
    assert {"photo_id": str(PHOTO), "mode": "push", "group": "thumbnail"}.items() <= lines[1].items()
    assert {"group": "check", "topic": "t.uploads", "partition": 2, "offset": 5}.items() <= lines[0].items()
    assert not any("cat" in str(line) for line in lines)
    assert {b"e1"} == {headers[EVENT_ID] for headers in pipeline.headers(RENDITIONS)}
    assert 2 == len(pipeline.headers(RENDITIONS))
    assert all(TRACEPARENT not in headers for headers in pipeline.headers(FANOUT))


async def test_a_parked_photo_says_so(pipeline: Pipeline) -> None:
    """From then on its lines have the id of the photo alone."""
    with logged() as lines:
        await pipeline.check(UPLOADS, uploaded(), EventType.PHOTO_UPLOADED)

    parked, _ = lines
    assert ["parked: the original has not arrived", "handled"] == says(lines)
    assert str(PHOTO) == parked["photo_id"]


async def test_a_follow_is_followed_only_at_the_level_of_debug(pipeline: Pipeline, tmp_path: Path) -> None:
    """There are too many of them."""
    with logged() as quiet:
        await pipeline.check(FOLLOWS, FOLLOWED, EventType.USER_FOLLOWED)
        await pipeline.edges()
    silent, pipeline = pipeline, Pipeline(tmp_path)
    with logged(logging.DEBUG) as lines:
        await pipeline.check(FOLLOWS, FOLLOWED, EventType.USER_FOLLOWED)
        await pipeline.edges()
        await pipeline.fanout()

    assert [] == quiet
    assert [{}] == silent.headers(EDGES)
    assert EVENT_ID not in silent.headers(FANOUT)[0]
    assert ["handled", "edges counted", "timelines written"] == says(lines)
    assert b"e1" == pipeline.headers(FANOUT)[0][EVENT_ID]


async def test_a_photo_is_one_trace_from_the_event_to_the_timelines(pipeline: Pipeline) -> None:
    """Each span is below the one of the stage before it. What is measured of the photo leads to it."""
    for histogram in (FRESHNESS, RENDITION_WAIT):
        histogram.clear()
    await pipeline.shared.stores.media_objects.put("app/1", b"original", content_type="image/jpeg")
    with traced() as exporter:
        await pipeline.check(UPLOADS, uploaded(), EventType.PHOTO_UPLOADED, SAMPLED)
        await pipeline.renditions()
        await pipeline.fanout()
    spans = exporter.get_finished_spans()

    assert {TRACE} == traces_of(FRESHNESS) == traces_of(RENDITION_WAIT)
    assert ["check uploads", "thumbnail", "timelines normal"] == [span.name for span in spans]
    assert {TRACE} == {f"{span.context.trace_id:032x}" for span in spans if span.context}
    above = [f"{span.parent.span_id:016x}" for span in spans if span.parent]
    assert [
        "00f067aa0ba902b7",
        *(f"{span.context.span_id:016x}" for span in spans[:2] if span.context),
    ] == above


@pytest.mark.parametrize("span", [None, SAMPLED, SAMPLED[:-1] + "0", SAMPLED[:-1] + "3"])
async def test_a_follow_is_traced_if_its_publisher_does(pipeline: Pipeline, span: str | None) -> None:
    """Otherwise its records have no headers."""
    with traced() as exporter:
        await pipeline.check(FOLLOWS, FOLLOWED, EventType.USER_FOLLOWED, span)
        await pipeline.edges()
        await pipeline.fanout()
    is_traced = span is not None and span[-1] in "13"

    assert ["check follows", "edges", "timelines normal"] * is_traced == [
        span.name for span in exporter.get_finished_spans()
    ]
    assert is_traced is (TRACEPARENT in pipeline.headers(EDGES)[0])
    assert is_traced is (TRACEPARENT in pipeline.headers(FANOUT)[0])


async def test_a_photo_without_a_trace_begins_one_if_traces_are_on(pipeline: Pipeline) -> None:
    """With traces off nobody looks at what a publisher says of its own."""
    with traced() as exporter:
        await pipeline.check(UPLOADS, READY, EventType.PHOTO_UPLOADED)
        await pipeline.fanout()

    assert 1 == len({span.context.trace_id for span in exporter.get_finished_spans() if span.context})
    assert ["check uploads", "timelines normal"] == [span.name for span in exporter.get_finished_spans()]


async def test_traces_that_are_off_leave_no_header(pipeline: Pipeline) -> None:
    """Also if the publisher traces its events."""
    await pipeline.check(UPLOADS, READY, EventType.PHOTO_UPLOADED, SAMPLED)

    assert all(TRACEPARENT not in headers for headers in pipeline.headers(FANOUT))


async def test_dead_letters_and_the_stop_name_their_events() -> None:
    """The stop that of the last dead letter; a record without an id has its offset."""
    stage = Stage(refuse=lambda event: PoisonEvent(Reason.AUTHOR_CONFLICT, "of the caption 'a cat'"))
    with logged() as lines:
        delivering = asyncio.create_task(stage.deliver(like(0), bad(1), like(2)))
        await eventually("a stop", lambda: any("stopped" in line["event"] for line in lines))
        delivering.cancel()

    by_reason = {line.get("reason"): line for line in lines if line["event"] == "dead letter"}
    refused, unreadable = by_reason["author_conflict"], by_reason["not_cloudevent"]
    stop = next(line for line in lines if "stopped" in line["event"])
    place = {"group": "check", "topic": "likes", "partition": 2}
    assert {**place, "event_ids": ["e0", "e2"], "offsets": [0, 2]}.items() <= refused.items()
    assert {**place, "offset": 1}.items() <= unreadable.items()
    assert "event_id" not in unreadable
    assert {**place, "event_id": "e2", "level": "error", "offset": 3}.items() <= stop.items()
    assert not any("cat" in str(line) for line in lines)


async def test_a_batch_that_waits_for_a_store_names_its_events() -> None:
    """And the partition."""
    stage = Stage(refuse=lambda event: PoisonEvent(Reason.AUTHOR_CONFLICT, "no"), in_a_row_max=9)
    stage.failures = 6
    with logged() as lines:
        await stage.deliver(like(0), like(1))

    [waiting] = [line for line in lines if line["event"].startswith("waiting for kafka")]
    assert {
        "event_ids": ["e0", "e1"],
        "store": "kafka",
        "operation": "produce",
        "group": "check",
        "topic": "likes",
        "partition": 2,
    }.items() <= waiting.items()
