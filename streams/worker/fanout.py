"""The roles `normal` and `bulk`: each consumes one lane of `fanout` and repairs its timelines."""

import asyncio
from collections.abc import Callable
from typing import TypedDict

from streams.kafka.consuming.agent import add_agent
from streams.kafka.consuming.app import assigned_partitions, make_app
from streams.kafka.offsets.queued import BrokerOffsets
from streams.kafka.stages.fanout_applier import FanoutApplier
from streams.kafka.stages.fanout_lane import FanoutLane
from streams.kafka.stages.fanout_log import FanoutLog, RecordLog
from streams.kafka.stages.group_applier import GroupApplier
from streams.kafka.stages.group_checkpoints import GroupCheckpoints
from streams.kafka.stages.redis_checkpoints import LaneCheckpoints, RedisCheckpoints
from streams.ports.timelines import Timelines
from streams.roles import LANES, Role, group_of
from streams.settings import RetrySettings
from streams.worker.lost_timelines import lost_timelines
from streams.worker.overload import settler
from streams.worker.parts import Loop, SharedParts, Wired
from topics.catalogue import FANOUT, Lane


class _CheckpointParts(TypedDict):
    """What both kinds of checkpoints take."""

    retry: RetrySettings
    timelines: Timelines
    offsets: BrokerOffsets
    records: RecordLog
    topic: str
    group: str
    groups: dict[str, range]
    owned: Callable[[], set[int]]


def wire_normal(shared: SharedParts) -> Wired:
    """Consume the normal lane."""
    settings = shared.settings
    return _wire_lane(
        shared,
        Role.NORMAL,
        calls_in_flight_max=settings.normal_calls_in_flight_max,
        poll_records_max=settings.normal_poll_records_max,
        buffer_records_max=settings.normal_buffer_records_max,
    )


def wire_bulk(shared: SharedParts) -> Wired:
    """Consume the bulk lane, which slows down while the process has urgent work."""
    settings = shared.settings
    return _wire_lane(
        shared,
        Role.BULK,
        calls_in_flight_max=settings.bulk_calls_in_flight_max,
        poll_records_max=settings.bulk_poll_records_max,
        buffer_records_max=settings.bulk_buffer_records_max,
    )


def _wire_lane(
    shared: SharedParts,
    role: Role,
    *,
    calls_in_flight_max: int,
    poll_records_max: int,
    buffer_records_max: int,
) -> Wired:
    settings, lane, namespace = shared.settings, LANES[role], shared.settings.namespace
    group, topic = group_of(namespace, role), FANOUT.named(namespace)
    app = make_app(
        settings,
        group,
        {topic: shared.sizes.range_of(FANOUT, lane)},
        poll_records_max=poll_records_max,
        buffer_records_max=buffer_records_max,
    )

    def owned() -> set[int]:
        return {partition for _, partition in assigned_partitions(app)}

    checkpoints, catching_up = _checkpoints(shared, role, owned, calls_in_flight_max)
    add_agent(
        app,
        f"fanout-{lane}",
        topic,
        FanoutLane(group, lane, checkpoints, shared.progress, shared.throttle),
        batch_records_max=settings.fanout_batch_records_max,
        fatal=shared.fatal,
    )
    loops: list[Loop] = [checkpoints.watch, *catching_up]
    if lane is Lane.BULK:
        first = shared.sizes.range_of(FANOUT, lane).start
        loops += [settler(shared, owned).run, lost_timelines(shared, lambda: first in owned()).run]
    # Until all partitions are verified, feed pages are `partial`, so the worker is not ready.
    return Wired(apps=[app], loops=loops, is_ready=checkpoints.is_verified)


def _checkpoints(
    shared: SharedParts, role: Role, owned: Callable[[], set[int]], calls_in_flight_max: int
) -> tuple[LaneCheckpoints, list[Loop]]:
    """Return what handles the batches of a lane, and the loops that it needs besides its watch."""
    settings, lane, namespace = shared.settings, LANES[role], shared.settings.namespace
    topic, calls = FANOUT.named(namespace), asyncio.Semaphore(calls_in_flight_max)
    parts: _CheckpointParts = {
        "retry": settings,
        "timelines": shared.stores.timelines,
        "offsets": shared.offsets,
        "records": FanoutLog(settings, topic=topic, batch_records_max=settings.fanout_batch_records_max),
        "topic": topic,
        "group": group_of(namespace, role),
        "groups": {group_of(namespace, of): shared.sizes.range_of(FANOUT, LANES[of]) for of in LANES},
        "owned": owned,
    }
    if lane is Lane.NORMAL and settings.redis_cluster:
        repair_calls = asyncio.Semaphore(settings.repair_calls_in_flight_max)
        by_server = GroupApplier(settings, settings, shared.stores, calls, repair_calls)
        grouped = GroupCheckpoints(applier=by_server, wait_s=settings.timelines_wait_ms_max / 1_000, **parts)
        return grouped, [grouped.catch_up]
    applier = FanoutApplier(settings, settings, shared.stores, lane, calls, shared.throttle)
    return RedisCheckpoints(apply=applier.apply, **parts), []
