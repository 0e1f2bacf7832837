"""The role `check`: agents on the topics of upstream apps, and the job for late originals."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from time import monotonic

from schemas.envelope import PoisonEvent, Record
from schemas.events import Event, claimed_change, claimed_upload
from streams.clock import unix_ms
from streams.edges.changed import follows_changed, likes_changed
from streams.edges.dead_lettered import edge_dead_lettered
from streams.jobs.clocks import Clocks
from streams.jobs.parked import ParkedJob
from streams.jobs.undelivered import UndeliveredJob
from streams.kafka.consuming.agent import add_agent
from streams.kafka.consuming.app import assigned_partitions, make_app
from streams.kafka.consuming.stops import Stops
from streams.kafka.consuming.throttle import BackgroundThrottle
from streams.kafka.consuming.waiting import retry_until_available
from streams.kafka.stages.check import CheckStage, DeadLettered, EventsHandler
from streams.kafka.stages.dead_letters import DeadLetters
from streams.photos.events import PhotoEvents
from streams.photos.rejected import upload_dead_lettered
from streams.ports.edges import OutgoingEdges
from streams.ports.groups import EdgeStores, PhotoStores
from streams.ports.publishing import Outbox
from streams.retrying import api_row_waits_s
from streams.roles import Role, group_of
from streams.settings import ClockSettings, RetrySettings
from streams.worker.parts import SharedParts, Wired, delivery_rules
from topics.catalogue import FOLLOWS, LIKES, UPLOADS, Topic

POLL_RECORDS_MAX = 500
BUFFER_RECORDS_MAX = 2_560
# Handles events of edges all at once; may be repeated.
EdgeChanges = Callable[[Sequence[Event]], Awaitable[None]]
# How long to wait for the row that the API writes after it published the record.
RowWaits = Callable[[Record], Sequence[float]]


def wire_check(shared: SharedParts) -> Wired:
    """Consume `uploads`, `follows` and `likes` as one group."""
    settings, group = shared.settings, group_of(shared.settings.namespace, Role.CHECK)
    handlers, changes = event_handlers(shared), edge_changes(shared.stores, shared.outbox)
    app = make_app(
        settings,
        group,
        {topic.named(settings.namespace): shared.sizes.range_of(topic) for topic in handlers},
        poll_records_max=POLL_RECORDS_MAX,
        buffer_records_max=BUFFER_RECORDS_MAX,
    )
    stops = Stops(settings, shared.stores.stopped_partitions, shared.progress)
    waits_s = row_waits(settings)
    for topic, (handle, batch_records_max) in handlers.items():
        dead_letters = DeadLetters(shared.producer, topic, settings.namespace, group, settings)
        stage = CheckStage(
            settings,
            topic,
            group,
            handle,
            dead_letters,
            stops,
            shared.progress,
            clock_agrees=clock_agrees(shared.clocks, settings),
        )
        stage.dead_lettered = (
            rejects_photos(shared.stores, shared.outbox, settings, settings.event_source, waits_s)
            if topic is UPLOADS
            else takes_edges_back(
                topic, shared.stores.outgoing_edges, changes[topic], settings, settings.event_source, waits_s
            )
        )
        add_agent(
            app,
            f"check-{topic.name}",
            topic.named(settings.namespace),
            stage,
            batch_records_max=batch_records_max,
            fatal=shared.fatal,
        )
    first = (UPLOADS.named(settings.namespace), 0)
    undelivered = UndeliveredJob(
        shared.stores,
        shared.outbox,
        delivery_rules(shared),
        shared.sizes,
        owns=lambda: first in assigned_partitions(app),
    )
    parked = ParkedJob(settings, shared.stores, shared.outbox)
    return Wired(apps=[app], loops=[parked.run, undelivered.run])


def event_handlers(shared: SharedParts) -> Mapping[Topic, tuple[EventsHandler, int]]:
    """Return for each topic the handler of its events, and the maximum of records in a batch."""
    settings, stores, outbox = shared.settings, shared.stores, shared.outbox
    photos = PhotoEvents(
        stores=stores,
        outbox=outbox,
        delivery_rules=delivery_rules(shared),
        sizes=shared.sizes,
        original_poll_ms=settings.original_poll_s * 1_000,
    )
    changes = edge_changes(stores, outbox)
    return {
        UPLOADS: (urgently(photos.handle, settings, shared.throttle), settings.uploads_batch_records_max),
        FOLLOWS: (unhurriedly(changes[FOLLOWS], settings, shared.throttle), settings.check_batch_records_max),
        LIKES: (unhurriedly(changes[LIKES], settings, shared.throttle), settings.check_batch_records_max),
    }


def edge_changes(stores: EdgeStores, outbox: Outbox) -> Mapping[Topic, EdgeChanges]:
    """Return what handles the events of the topics that change edges."""
    ports = (stores.outgoing_edges, stores.removal_marks, stores.cache, outbox)
    return {FOLLOWS: partial(follows_changed, *ports), LIKES: partial(likes_changed, *ports)}


def clock_agrees(clocks: Clocks, retry: RetrySettings) -> Callable[[Callable[[], bool]], Awaitable[None]]:
    """Return a function that waits while this process's clock differs too much from the stores'."""

    async def wait(is_assigned: Callable[[], bool]) -> None:
        await retry_until_available(retry, clocks.require_agreement, is_assigned=is_assigned)

    return wait


def row_waits(settings: ClockSettings, clock_ms: Callable[[], int] = unix_ms) -> RowWaits:
    """Return what bounds the waits, by the time of the record; `clock_ms` is the wall clock."""

    def waits_s(record: Record) -> Sequence[float]:
        return api_row_waits_s(
            record.timestamp_ms,
            now_ms=clock_ms(),
            clock_difference_ms_max=settings.clock_write_difference_ms_max,
        )

    return waits_s


def rejects_photos(
    stores: PhotoStores, outbox: Outbox, retry: RetrySettings, own_source: str, waits_s: RowWaits
) -> DeadLettered:
    """Return what ends a photo of the API whose `photo.uploaded` became a dead letter."""

    async def reject(record: Record, poison: PoisonEvent, is_assigned: Callable[[], bool]) -> None:
        claimed = claimed_upload(record, own_source)
        if claimed is not None:
            await retry_until_available(
                retry,
                lambda: upload_dead_lettered(
                    stores, outbox, *claimed, poison.reason.value, waits_s=waits_s(record)
                ),
                is_assigned=is_assigned,
            )

    return reject


def takes_edges_back(
    topic: Topic,
    outgoing_edges: OutgoingEdges,
    change: EdgeChanges,
    retry: RetrySettings,
    own_source: str,
    waits_s: RowWaits,
) -> DeadLettered:
    """Return what removes an edge of the API whose event became a dead letter."""

    async def take_back(record: Record, _: PoisonEvent, is_assigned: Callable[[], bool]) -> None:
        claimed = claimed_change(topic.name, record, own_source)
        if claimed is not None:
            await retry_until_available(
                retry,
                lambda: edge_dead_lettered(outgoing_edges, change, claimed, waits_s=waits_s(record)),
                is_assigned=is_assigned,
            )

    return take_back


def urgently(
    handle: Callable[[Sequence[Event]], Awaitable[list[PoisonEvent | None]]],
    retry: RetrySettings,
    throttle: BackgroundThrottle,
) -> EventsHandler:
    """Return a handler that passes whole batches to `handle`, as urgent work."""

    async def handle_batch(
        events: Sequence[Event], is_assigned: Callable[[], bool]
    ) -> list[PoisonEvent | None]:
        with throttle.urgent():
            return await retry_until_available(retry, lambda: handle(events), is_assigned=is_assigned)

    return handle_batch


def unhurriedly(
    handle: Callable[[Sequence[Event]], Awaitable[None]],
    retry: RetrySettings,
    throttle: BackgroundThrottle,
    clock_s: Callable[[], float] = monotonic,
) -> EventsHandler:
    """Return a handler that passes whole batches to `handle`, as background work; no event is poison for it.

    100,000 follows at once would otherwise make posts wait for seconds.
    """

    async def handle_batch(
        events: Sequence[Event], is_assigned: Callable[[], bool]
    ) -> list[PoisonEvent | None]:
        began_s = clock_s()
        await retry_until_available(retry, lambda: handle(events), is_assigned=is_assigned)
        await throttle.rest(clock_s() - began_s)
        return [None] * len(events)

    return handle_batch
