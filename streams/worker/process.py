"""One worker process: the composition root of the write side; `roles.py` says what it may be made of."""

import asyncio
import logging
import signal
from collections.abc import Callable, Collection, Coroutine, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from functools import partial
from time import time
from typing import Any

import faust

from schemas.envelope import PoisonEvent
from schemas.events import Event
from schemas.facts import PhotoDeleted, PhotoUploaded
from streams.core.delivery import DeliveryLimits
from streams.edges.changed import follows_changed, likes_changed
from streams.jobs.cleaning.job import CleaningJob
from streams.jobs.parked import ParkedJob
from streams.kafka.consuming.agent import add_agent
from streams.kafka.consuming.app import make_app
from streams.kafka.consuming.progress import GroupPartition, Progress
from streams.kafka.consuming.stops import Stops
from streams.kafka.consuming.throttle import BackgroundThrottle
from streams.kafka.consuming.waiting import retry_until_available
from streams.kafka.consuming.watchdog import Watchdog
from streams.kafka.offsets.offsets import Offsets
from streams.kafka.producing.outbox import KafkaOutbox
from streams.kafka.producing.producer import Producer
from streams.kafka.producing.publisher import KafkaPublisher
from streams.kafka.stages.check import CheckStage, EventsHandler
from streams.kafka.stages.checkpoints import FanoutCheckpoints
from streams.kafka.stages.decode_slots import DecodeSlots
from streams.kafka.stages.edges_loop import EdgesLoop
from streams.kafka.stages.fanout_applier import FanoutApplier
from streams.kafka.stages.fanout_lane import FanoutLane
from streams.kafka.stages.renditions_lane import RenditionsLane
from streams.photos.deleted import photo_deleted
from streams.photos.uploaded import photo_uploaded
from streams.ports.groups import Stores
from streams.renditions.making import Decoder
from streams.roles import LANES, RENDITION_LANES, Role, group_of
from streams.settings import Settings
from streams.stores.connect import connect
from streams.worker import media as media_lanes
from streams.worker.monitoring import serve_metrics
from topics.catalogue import FANOUT, FOLLOWS, LIKES, RENDITIONS, UPLOADS, Lane, Topic

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Worker:
    """What the roles of one process share."""

    settings: Settings
    stores: Stores
    producer: Producer
    offsets: Offsets
    way: BackgroundThrottle
    progress: Progress = field(default_factory=Progress)
    apps: list[faust.App] = field(default_factory=list)
    loops: list[Callable[[], Coroutine[Any, Any, None]]] = field(default_factory=list)
    failed: asyncio.Future[None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    edges_ready: asyncio.Event | None = None

    @property
    def outbox(self) -> KafkaOutbox:
        return KafkaOutbox(self.producer, self.settings.namespace)

    def fatal(self, error: BaseException) -> None:
        """End the process: it is our bug, and going on would lose or repeat work without end."""
        if not self.failed.done():
            self.failed.set_exception(error)

    def add_check(self) -> None:
        group = group_of(self.settings, Role.CHECK)
        topics: dict[Topic, tuple[EventsHandler, int]] = {
            UPLOADS: (self._uploads, self.settings.uploads_batch_records_max),
            FOLLOWS: (self._follows, self.settings.check_batch_records_max),
            LIKES: (self._likes, self.settings.check_batch_records_max),
        }
        app = make_app(
            self.settings,
            group,
            {topic.named(self.settings.namespace): range(topic.partitions) for topic in topics},
            poll_records_max=500,
            buffer_records_max=2_560,
        )
        stops = Stops(self.settings, self.stores.stopped_partitions, self.progress)
        for topic, (handle, batch_records_max) in topics.items():
            stage = CheckStage(self.settings, topic, group, handle, self.producer, stops, self.progress)
            add_agent(
                app,
                f"check-{topic.name}",
                topic.named(self.settings.namespace),
                stage,
                batch_records_max=batch_records_max,
                fatal=self.fatal,
            )
        self.apps.append(app)
        self.loops.append(ParkedJob(self.settings, self.stores, self.outbox).run)

    def add_edges(self) -> None:
        group = group_of(self.settings, Role.EDGES)
        loop = EdgesLoop(self.settings, self.stores, self.outbox, group, self.progress)
        self.edges_ready = loop.ready
        self.loops.append(loop.run)

    def add_lane(self, role: Role) -> None:
        settings, lane, group = self.settings, LANES[role], group_of(self.settings, role)
        partitions, topic = FANOUT.range_of(lane), FANOUT.named(settings.namespace)
        normal = lane is Lane.NORMAL
        app = make_app(
            settings,
            group,
            {topic: partitions},
            poll_records_max=settings.normal_poll_records_max if normal else settings.bulk_poll_records_max,
            buffer_records_max=(
                settings.normal_buffer_records_max if normal else settings.bulk_buffer_records_max
            ),
        )
        calls = settings.normal_calls_in_flight_max if normal else settings.bulk_calls_in_flight_max
        applier = FanoutApplier(settings, settings, self.stores, lane, asyncio.Semaphore(calls), self.way)
        checkpoints = FanoutCheckpoints(
            settings=settings,
            timelines=self.stores.timelines,
            offsets=self.offsets,
            group=group,
            groups={group_of(settings, each): FANOUT.range_of(LANES[each]) for each in LANES},
            owned=lambda: {tp.partition for tp in _assignment(app)},
            apply=applier.apply,
        )
        handler = FanoutLane(group, lane, applier, checkpoints, self.progress, self.way)
        add_agent(
            app,
            f"fanout-{lane}",
            topic,
            handler,
            batch_records_max=settings.fanout_batch_records_max,
            fatal=self.fatal,
        )
        self.apps.append(app)
        self.loops.append(checkpoints.watch)

    def add_renditions(self, role: Role, decoder: Decoder, places: DecodeSlots) -> None:
        settings, lane, group = self.settings, RENDITION_LANES[role], group_of(self.settings, role)
        topic = RENDITIONS.named(settings.namespace)
        app = make_app(
            settings,
            group,
            {topic: RENDITIONS.range_of(lane)},
            poll_records_max=settings.renditions_poll_records_max,
            buffer_records_max=settings.renditions_buffer_records_max,
        )
        handler = RenditionsLane(
            settings=settings,
            stores=self.stores,
            outbox=self.outbox,
            decoder=decoder,
            rules=media_lanes.rendition_rules(settings),
            limits=delivery_limits(settings),
            group=group,
            lane=lane,
            places=places,
            progress=self.progress,
        )
        add_agent(
            app,
            f"renditions-{lane}",
            topic,
            handler,
            batch_records_max=settings.renditions_batch_records_max,
            fatal=self.fatal,
        )
        self.apps.append(app)
        self.loops.append(partial(handler.watch, self.offsets))

    def add_cleaning(self) -> None:
        publisher = KafkaPublisher(
            self.producer, namespace=self.settings.namespace, source=self.settings.event_source
        )
        self.loops.append(CleaningJob(self.settings, self.stores, self.outbox, publisher).run)

    async def _uploads(
        self, events: Sequence[Event], is_assigned: Callable[[], bool]
    ) -> list[PoisonEvent | None]:
        async def outcome(event: Event) -> PoisonEvent | None:
            try:
                await retry_until_available(
                    self.settings, lambda: self._upload(event), is_assigned=is_assigned
                )
            except PoisonEvent as poison:
                return poison
            return None

        with self.way.urgent():
            return await asyncio.gather(*(outcome(event) for event in events))

    async def _upload(self, event: Event) -> None:
        if isinstance(event.data, PhotoUploaded):
            await photo_uploaded(
                self.stores,
                self.outbox,
                event.data,
                limits=delivery_limits(self.settings),
                now_ms=int(time() * 1_000),
                original_poll_ms=self.settings.original_poll_s * 1_000,
            )
        elif isinstance(event.data, PhotoDeleted):
            await photo_deleted(self.stores, self.outbox, event.data)

    async def _follows(
        self, events: Sequence[Event], is_assigned: Callable[[], bool]
    ) -> list[PoisonEvent | None]:
        await retry_until_available(
            self.settings, lambda: follows_changed(self.stores, self.outbox, events), is_assigned=is_assigned
        )
        return [None] * len(events)

    async def _likes(
        self, events: Sequence[Event], is_assigned: Callable[[], bool]
    ) -> list[PoisonEvent | None]:
        await retry_until_available(
            self.settings, lambda: likes_changed(self.stores, self.outbox, events), is_assigned=is_assigned
        )
        return [None] * len(events)

    def ready(self) -> bool:
        """Whether every role has been given its partitions, or learned that there are none for it."""
        edges = self.edges_ready is None or self.edges_ready.is_set()
        return edges and all(app.consumer_generation_id > 0 and not app.rebalancing for app in self.apps)

    async def own_assignments(self) -> None:
        """For ever: tell the progress which partitions the apps own."""
        while True:
            for app in self.apps:
                places = {GroupPartition(app.conf.id, tp.topic, tp.partition) for tp in _assignment(app)}
                self.progress.own(app.conf.id, places)
            await asyncio.sleep(1.0)

    async def run(self, stopping: asyncio.Event) -> None:
        """Until `stopping` is set, or a bug ends it."""
        watchdog = Watchdog(self.progress, self.offsets, self.settings.watchdog_s, self.fatal)
        loops = [*self.loops, watchdog.run, self.own_assignments]
        tasks = [asyncio.create_task(loop()) for loop in loops]
        try:
            # At once, because each sleeps for a second in its start.
            await asyncio.gather(*(app.start() for app in self.apps))
            stop = asyncio.create_task(stopping.wait())
            ends: list[asyncio.Future[Any]] = [stop, self.failed, *tasks]
            done, _ = await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            for each in done - {stop}:
                each.result()  # Raises what ended it.
        finally:
            # All at once: each leaves its group, and others take over within a heartbeat.
            for task in tasks:
                task.cancel()
            await asyncio.gather(*(app.stop() for app in self.apps), *tasks, return_exceptions=True)


def _assignment(app: faust.App) -> Collection[faust.types.TP]:
    """The app's partitions; none before it has a consumer."""
    return app.consumer.assignment() if app.started and app.consumer_generation_id > 0 else ()


def delivery_limits(settings: Settings) -> DeliveryLimits:
    """The thresholds of the hybrid, from the settings."""
    return DeliveryLimits(
        pull_followers_min=settings.pull_followers_min,
        push_again_followers_max=settings.push_again_followers_max,
        celebrity_push_followers_max=settings.celebrity_push_followers_max,
    )


async def run_worker(settings: Settings, roles: Collection[Role]) -> None:
    """Run a worker of `roles` until SIGTERM or SIGINT.

    Raises:
        Exception: A bug, or the watchdog's verdict; whoever runs the process starts it again.
    """
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for each in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(each, stopping.set)
    async with AsyncExitStack() as closing:
        stores = await closing.enter_async_context(
            connect(settings, timeout_ms=settings.worker_store_timeout_ms)
        )
        producer = await closing.enter_async_context(
            Producer(settings, timeout_ms=settings.worker_store_timeout_ms)
        )
        way = BackgroundThrottle(settings.bulk_rest_ratio, settings.bulk_rest_ms_max / 1_000)
        worker = Worker(settings, stores, producer, Offsets(settings), way)
        if Role.CHECK in roles:
            worker.add_check()
        if Role.EDGES in roles:
            worker.add_edges()
        for role in LANES:
            if role in roles:
                worker.add_lane(role)
        lanes = {role: lane for role, lane in RENDITION_LANES.items() if role in roles}
        decoder_of = await closing.enter_async_context(media_lanes.decoders(settings, lanes.values()))
        places = media_lanes.places(settings)
        for role, lane in lanes.items():
            worker.add_renditions(role, decoder_of[lane], places)
        if lanes:
            worker.add_cleaning()
        await closing.enter_async_context(serve_metrics(settings, worker.ready))
        await worker.run(stopping)
