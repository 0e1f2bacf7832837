"""Faust apps, one for each consumer group. A factory makes them, so that one process can have several."""

from collections.abc import Mapping

import faust
import mode
from mode.exceptions import MaxRestartsExceeded
from mode.utils.times import rate_limit

from streams.kafka.consuming.assignor import range_assignor
from streams.settings import ConsumerSettings

RESTARTS_MAX = 100.0
RESTARTS_WINDOW_S = 200.0


class RoomySupervisor(mode.OneForOneSupervisor):  # type: ignore[misc]  # mode has no types here
    """Faust's own supervisor gives up after 3 crashes in 10 ms, which one rebalance can cause."""

    def __init__(self, *args: object, **options: object) -> None:
        super().__init__(*args, **options)
        self._bucket = rate_limit(RESTARTS_MAX, over=RESTARTS_WINDOW_S, raises=MaxRestartsExceeded)


def make_app(
    settings: ConsumerSettings,
    group: str,
    partitions: Mapping[str, range],
    *,
    poll_records_max: int,
    buffer_records_max: int,
) -> faust.App:
    """An app that consumes only `partitions` (by the topic's name on the broker), as `group`.

    Delivery is at least once: records are committed after their agent acknowledged them.
    `poll_records_max` is at most a fifth of the buffer; a fuller one stalls every partition.
    """
    datadir = settings.run_dir / f"faust-{settings.process}"
    datadir.mkdir(parents=True, exist_ok=True)
    return faust.App(
        group,
        broker=";".join(f"kafka://{address}" for address in settings.kafka.split(",")),
        datadir=str(datadir),
        PartitionAssignor=range_assignor(partitions),
        agent_supervisor=RoomySupervisor,
        web_enabled=False,
        topic_allow_declare=False,
        topic_disable_leader=True,
        value_serializer="raw",
        key_serializer="raw",
        consumer_auto_offset_reset="earliest",
        broker_max_poll_records=poll_records_max,
        stream_buffer_maxsize=buffer_records_max,
        stream_wait_empty=False,
        # Faust reads a whole fetch of one partition before the next: large ones delay others by seconds.
        consumer_max_fetch_size=262_144,
        broker_commit_interval=settings.commit_interval_ms / 1_000,
        broker_session_timeout=settings.session_timeout_s,
        broker_heartbeat_interval=settings.heartbeat_ms / 1_000,
        broker_request_timeout=30.0,
    )


def is_balanced(app: faust.App) -> bool:
    """Return whether the app has joined its group and no rebalance is under way."""
    return bool(app.consumer_generation_id > 0 and not app.rebalancing)


def assigned_partitions(app: faust.App) -> set[tuple[str, int]]:
    """Return (topic, partition) of what the app is assigned; nothing before it has joined its group."""
    if not app.started or app.consumer_generation_id <= 0:
        return set()
    return {(assigned.topic, assigned.partition) for assigned in app.consumer.assignment()}
