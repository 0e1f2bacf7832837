"""The composition root of the lag monitor."""

import logging
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AsyncExitStack
from functools import partial
from typing import Any

import aiohttp

from schemas.facts import EventData
from schemas.ids import UserId
from streams.clock import unix_ms, unix_us
from streams.core.lag.history import LagHistory
from streams.core.lag.rebalances import RebalanceLog
from streams.core.lag.samples import GroupLogs
from streams.gathering import run_together
from streams.jobs.dead_letters.depth import DeadLettersDepth
from streams.jobs.dead_letters.ports import DeadLetterLog
from streams.kafka.consuming.dead_letter_log import KafkaDeadLetterLog
from streams.kafka.consuming.record_log import KafkaRecordLog
from streams.kafka.offsets.brokers import BrokerProbe
from streams.kafka.offsets.fanout_backlog import FanoutBacklog
from streams.kafka.offsets.members import GroupMembers
from streams.kafka.offsets.offsets import Offsets
from streams.kafka.producing.producer import Producer
from streams.kafka.producing.publisher import KafkaPublisher
from streams.kafka.producing.sizes import sizes_once_kafka_answers
from streams.monitor.canary import Canary
from streams.monitor.canary_feed import HttpFeed
from streams.monitor.freshness import FreshnessLog
from streams.monitor.groups import pipeline_groups
from streams.monitor.monitor import LagMonitor
from streams.monitor.operations import OperationsTail
from streams.monitor.overview import Overview
from streams.monitor.sampling import Sampler
from streams.monitor.serving import serve_monitor
from streams.monitor.sources.brokers import Brokers
from streams.monitor.sources.hottest_keys import HottestKeys
from streams.monitor.sources.workers import Workers
from streams.polling import poll
from streams.settings import CanarySettings, MonitorSettings, RenditionSettings, load
from streams.stopping import run_until_signal
from streams.stores.connect import connect_coordination
from topics.catalogue import OPERATIONS

SIZES_S = 60.0
OPERATIONS_S = 2.0
BROKERS_S = 5.0
# More than two readings take, also while a broker does not respond.
BROKERS_STALE_S = 20.0
HOTTEST_KEYS_S = 30.0
DEAD_LETTERS_S = 15.0
CANARY_SOURCE = "/shutterline/canary"
log = logging.getLogger(__name__)


async def run_monitor(token: Callable[[], str]) -> None:
    """Run the monitor until SIGTERM or SIGINT; settings come from the environment.

    `token` returns a token for the reader of the canary.

    It waits for Kafka and Cassandra, and goes on while they are away.

    Raises:
        ValidationError: A setting is not valid.
        OSError: The port of the monitor is in use.
        TopicMismatch: The topics have other partitions than the settings say.
        StoreMisconfigured: A store will never let this process in with its settings.
    """
    settings = load()
    overview: Overview | None = None
    freshness = FreshnessLog(unix_ms)

    async def work() -> None:
        nonlocal overview
        async with AsyncExitStack() as closing:
            await closing.enter_async_context(
                serve_monitor(
                    settings,
                    lambda: None if overview is None else overview.monitor.report(),
                    lambda: {} if overview is None else overview.monitor.ages_s(),
                    lambda: None if overview is None else overview.json(),
                )
            )
            timeout_ms = settings.monitor_timeout_ms
            # It knows how many partitions the topics have, which may grow. Only the canary publishes.
            topics = await closing.enter_async_context(Producer(settings, timeout_ms=timeout_ms))
            await sizes_once_kafka_answers(topics, settings.namespace)
            members = GroupMembers(settings, timeout_s=timeout_ms / 1_000)
            closing.push_async_callback(members.close)
            offsets = Offsets(settings, timeout_s=timeout_ms / 1_000)

            monitor = _monitor(settings, settings, topics, offsets, members)
            probe = BrokerProbe(settings, timeout_s=timeout_ms / 1_000)
            closing.push_async_callback(probe.close)
            overview = _overview(settings, monitor, offsets, freshness, probe)
            compare = partial(
                poll, topics.compare_sizes, SIZES_S, log=log, failure="the sizes of the topics are not known"
            )
            dead_letters = KafkaDeadLetterLog(settings, offsets, topics.sizes())

            watch_stored = partial(_watch_stored, settings, overview, dead_letters)
            canary = partial(_run_canary, settings, settings, topics, token, freshness)
            await run_together(
                monitor.run, monitor.watch_backlog, watch_stored, compare, canary, *_readings(overview)
            )

    await run_until_signal(work(), within_s=settings.stop_s_max)


def _overview(
    settings: MonitorSettings,
    monitor: LagMonitor,
    offsets: Offsets,
    freshness: FreshnessLog,
    probe: BrokerProbe,
) -> Overview:
    records = KafkaRecordLog(settings, timeout_s=settings.monitor_timeout_ms / 1_000)
    return Overview(
        monitor,
        OperationsTail(
            records, offsets, OPERATIONS.named(settings.namespace), settings.monitor_operations_max
        ),
        freshness,
        Brokers(probe=probe, stale_s=BROKERS_STALE_S, clock_s=monitor.clock_s),
        HottestKeys(records),
    )


def _readings(overview: Overview) -> Sequence[Callable[[], Coroutine[Any, Any, None]]]:
    """Return the loops that read from Kafka what only the page shows."""

    async def read_keys() -> None:
        await overview.hottest_keys.read(overview.monitor.report())

    return [
        partial(poll, read, every_s, log=log, failure=failure)
        for read, every_s, failure in (
            (overview.operations.read, OPERATIONS_S, "the topic operations is not read"),
            (overview.brokers.read, BROKERS_S, "the brokers are not known"),
            (read_keys, HOTTEST_KEYS_S, "the hottest keys are not known"),
        )
    ]


def _monitor(
    settings: MonitorSettings,
    renditions: RenditionSettings,
    topics: Producer,
    offsets: Offsets,
    members: GroupMembers,
) -> LagMonitor:
    def groups() -> Sequence[GroupLogs]:
        return pipeline_groups(
            settings.namespace, topics.sizes(), still_s=settings.monitor_still_s, renditions=renditions
        )

    return LagMonitor(
        groups=groups,
        history=LagHistory(
            step_s=settings.monitor_history_step_s,
            columns_max=max(1, settings.monitor_history_s // settings.monitor_history_step_s),
        ),
        rebalances=RebalanceLog(settings.monitor_rebalances_max),
        sampler=Sampler(offsets, members),
        backlog=FanoutBacklog(settings, offsets, topics.sizes()),
        interval_s=settings.monitor_interval_ms / 1_000,
        stale_s=settings.monitor_stale_s_max,
        unowned_s=settings.monitor_unowned_ms / 1_000,
    )


async def _run_canary(
    settings: CanarySettings,
    monitor: MonitorSettings,
    producer: Producer,
    token: Callable[[], str],
    freshness: FreshnessLog,
) -> None:
    """Run the canary until cancelled; return at once if it is off."""
    if not settings.canary_interval_ms:
        return
    publisher = KafkaPublisher(producer, namespace=monitor.namespace, source=CANARY_SOURCE)

    async def publish(event_data: EventData) -> None:
        await publisher.publish(event_data, time_us=unix_us())

    async with aiohttp.ClientSession() as http:
        canary = Canary(
            publish=publish,
            feed=HttpFeed(http, settings.api, token, timeout_s=monitor.monitor_timeout_ms / 1_000),
            reader=UserId(settings.canary_user),
            shard=settings.canary_shard,
            interval_s=settings.canary_interval_ms / 1_000,
            late_s=settings.canary_late_ms / 1_000,
            wait_s_max=settings.canary_wait_s_max,
            noted=freshness.add,
        )
        await canary.run()


async def _watch_stored(settings: MonitorSettings, overview: Overview, dead_letters: DeadLetterLog) -> None:
    """Watch what needs Cassandra, once it is there; runs until cancelled."""
    async with connect_coordination(settings, timeout_ms=settings.monitor_timeout_ms) as stores:
        depth = overview.dead_letters = DeadLettersDepth(dead_letters, stores.handled_dead_letters)
        count = partial(poll, depth.read, DEAD_LETTERS_S, log=log, failure="dead letters are not counted")
        workers = overview.workers = Workers(
            reports=stores.worker_reports,
            silent_s_max=settings.worker_silent_s_max,
            stale_s=settings.worker_silent_s_max,
            clock_ms=unix_ms,
            clock_s=overview.monitor.clock_s,
        )
        listen = partial(
            poll,
            workers.read,
            settings.worker_report_s,
            log=log,
            failure="the reports of workers are not read",
        )
        await run_together(partial(overview.monitor.watch_stored, stores), count, listen)
