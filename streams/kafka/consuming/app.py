"""Faust apps, one for each consumer group; a factory, because one process may have several apps."""

from collections.abc import Mapping

import faust
import mode
from faust.tables import TableManager
from faust.types import TransportT
from mode.exceptions import MaxRestartsExceeded
from mode.utils.times import rate_limit

from streams.kafka.clients import METADATA_MS_MAX, faust_credentials
from streams.kafka.consuming.assignor import range_assignor
from streams.kafka.consuming.fetched import HandledOffsets
from streams.kafka.consuming.transport import CommittedTransport
from streams.settings import ConsumerSettings

RESTARTS_MAX = 100.0
RESTARTS_WINDOW_S = 200.0


class RoomySupervisor(mode.OneForOneSupervisor):  # type: ignore[misc]  # mode has no types here
    """Restarts crashed agents, up to `RESTARTS_MAX` times in `RESTARTS_WINDOW_S` seconds.

    Faust's own supervisor gives up after 3 crashes in 10 ms, which one rebalance can cause.
    """

    def __init__(self, *args: object, **options: object) -> None:
        super().__init__(*args, **options)
        self._bucket = rate_limit(RESTARTS_MAX, over=RESTARTS_WINDOW_S, raises=MaxRestartsExceeded)


class NoTables(TableManager):  # type: ignore[misc]
    """The tables of an app that has none: Faust's own waits a second for tables before it subscribes."""

    async def on_start(self) -> None:
        """Let the app subscribe."""
        await self._update_channels()
        await self.recovery.start()


class _App(faust.App):  # type: ignore[misc]
    """An app whose agents never see the records of an aborted transaction, nor yet those of an open one.

    It starts while the brokers are away, and joins its group when they are back.
    """

    def _new_transport(self) -> TransportT:
        return CommittedTransport(self.conf.broker_consumer, self)


def make_app(
    settings: ConsumerSettings,
    group: str,
    partitions: Mapping[str, range],
    *,
    poll_records_max: int,
    buffer_records_max: int,
) -> faust.App:
    """Return an app of `group` that consumes only `partitions`, by the topic's name on the broker.

    Delivery is at least once: records are committed after their agent acknowledged them.
    Each partition buffers at most `buffer_records_max` records. `poll_records_max` must be at most a
    fifth of that: Faust stops polling a partition whose buffer holds four fifths.
    """
    datadir = settings.run_dir / f"faust-{settings.process}"
    datadir.mkdir(parents=True, exist_ok=True)
    return _App(
        group,
        broker=";".join(f"kafka://{address}" for address in settings.kafka.split(",")),
        broker_credentials=faust_credentials(settings),
        broker_client_id=settings.process,  # The lag monitor names a partition's owner by it.
        datadir=str(datadir),
        PartitionAssignor=range_assignor(partitions),
        TableManager=NoTables,
        agent_supervisor=RoomySupervisor,
        web_enabled=False,
        topic_allow_declare=False,
        topic_disable_leader=True,
        value_serializer="raw",
        key_serializer="raw",
        consumer_auto_offset_reset="earliest",
        broker_max_poll_records=poll_records_max,
        # In fetches of at most `poll_records_max` records each.
        stream_buffer_maxsize=buffer_records_max // poll_records_max,
        stream_wait_empty=False,
        # Faust handles the whole fetch of one partition before the fetch of the next one, so large
        # fetches would delay the other partitions by seconds.
        consumer_max_fetch_size=262_144,
        broker_commit_interval=settings.commit_interval_ms / 1_000,
        broker_session_timeout=settings.session_timeout_s,
        broker_heartbeat_interval=settings.heartbeat_ms / 1_000,
        broker_request_timeout=30.0,
        consumer_metadata_max_age_ms=METADATA_MS_MAX,
    )


def is_balanced(app: faust.App) -> bool:
    """Return whether the app has joined its group and no rebalance is under way."""
    return bool(app.consumer_generation_id > 0 and not app.rebalancing)


def assigned_partitions(app: faust.App) -> set[tuple[str, int]]:
    """Return the (topic, partition) pairs assigned to the app; none before it joins its group."""
    if not app.started or app.consumer_generation_id <= 0:
        return set()
    return {(assigned.topic, assigned.partition) for assigned in app.consumer.assignment()}


def fetched_positions(app: faust.App) -> dict[tuple[str, int], tuple[int, int]]:
    """Return for each partition of which something was fetched the next offset to fetch, and the commit."""
    if not assigned_partitions(app):
        return {}
    offsets: HandledOffsets = app.consumer.handled_offsets
    return {(tp.topic, tp.partition): position for tp, position in offsets.positions().items()}
