"""The composition root of the lag monitor."""

import logging
from collections.abc import Sequence
from contextlib import AsyncExitStack
from functools import partial

from streams.core.lag.samples import GroupLogs
from streams.gathering import run_together
from streams.jobs.dead_letters.depth import DeadLettersDepth
from streams.jobs.dead_letters.ports import DeadLetterLog
from streams.kafka.consuming.dead_letter_log import KafkaDeadLetterLog
from streams.kafka.offsets.fanout_backlog import FanoutBacklog
from streams.kafka.offsets.members import GroupMembers
from streams.kafka.offsets.offsets import Offsets
from streams.kafka.producing.producer import Producer
from streams.kafka.producing.sizes import sizes_once_kafka_answers
from streams.monitor.groups import pipeline_groups
from streams.monitor.monitor import LagMonitor
from streams.monitor.sampling import Sampler
from streams.monitor.serving import serve_monitor
from streams.polling import poll
from streams.settings import MonitorSettings, load
from streams.stopping import run_until_signal
from streams.stores.connect import connect_coordination

SIZES_S = 60.0
DEAD_LETTERS_S = 15.0
log = logging.getLogger(__name__)


async def run_monitor() -> None:
    """Run the monitor until SIGTERM or SIGINT; settings come from the environment.

    It waits for Kafka and Cassandra, and goes on while they are away.

    Raises:
        ValidationError: A setting is not valid.
        OSError: The port of the monitor is in use.
        TopicMismatch: The topics have other partitions than the settings say.
        StoreMisconfigured: A store will never let this process in with its settings.
    """
    settings = load()
    monitor: LagMonitor | None = None

    async def work() -> None:
        nonlocal monitor
        async with AsyncExitStack() as closing:
            await closing.enter_async_context(
                serve_monitor(
                    settings,
                    lambda: None if monitor is None else monitor.report(),
                    lambda: {} if monitor is None else monitor.ages_s(),
                )
            )
            timeout_ms = settings.monitor_timeout_ms
            # It publishes nothing: it knows how many partitions the topics have, which may grow.
            topics = await closing.enter_async_context(Producer(settings, timeout_ms=timeout_ms))
            await sizes_once_kafka_answers(topics, settings.namespace)
            members = GroupMembers(settings, timeout_s=timeout_ms / 1_000)
            closing.push_async_callback(members.close)
            offsets = Offsets(settings, timeout_s=timeout_ms / 1_000)

            def groups() -> Sequence[GroupLogs]:
                return pipeline_groups(
                    settings.namespace, topics.sizes(), still_s=settings.monitor_still_s, renditions=settings
                )

            monitor = LagMonitor(
                groups=groups,
                sampler=Sampler(offsets, members),
                backlog=FanoutBacklog(settings, offsets, topics.sizes()),
                interval_s=settings.monitor_interval_ms / 1_000,
                stale_s=settings.monitor_stale_s_max,
                unowned_s=settings.monitor_unowned_ms / 1_000,
            )
            compare = partial(
                poll, topics.compare_sizes, SIZES_S, log=log, failure="the sizes of the topics are not known"
            )
            dead_letters = KafkaDeadLetterLog(settings, offsets, topics.sizes())

            watch_stored = partial(_watch_stored, settings, monitor, dead_letters)
            await run_together(monitor.run, monitor.watch_backlog, watch_stored, compare)

    await run_until_signal(work(), within_s=settings.stop_s_max)


async def _watch_stored(settings: MonitorSettings, monitor: LagMonitor, dead_letters: DeadLetterLog) -> None:
    """Watch what needs Cassandra, once it is there; runs until cancelled."""
    async with connect_coordination(settings, timeout_ms=settings.monitor_timeout_ms) as stores:
        depth = DeadLettersDepth(dead_letters, stores.handled_dead_letters)
        count = partial(poll, depth.read, DEAD_LETTERS_S, log=log, failure="dead letters are not counted")
        await run_together(partial(monitor.watch_stored, stores), count)
