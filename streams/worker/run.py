"""The composition root of the write side: one worker process that runs one or more roles."""

import asyncio
import gc
import sys
from collections.abc import Collection, Mapping, Sequence
from contextlib import AsyncExitStack
from types import MappingProxyType

from streams.jobs.clocks import Clocks
from streams.kafka.consuming.progress import Progress
from streams.kafka.consuming.throttle import BackgroundThrottle
from streams.kafka.consuming.watchdog import LOOK_S, Watchdog
from streams.kafka.offsets.offsets import Offsets
from streams.kafka.producing.health import KafkaClock
from streams.kafka.producing.outbox import KafkaOutbox
from streams.kafka.producing.producer import Producer
from streams.kafka.producing.sizes import sizes_once_kafka_answers
from streams.roles import Role, lanes_of_groups
from streams.settings import load
from streams.stopping import run_until_signal
from streams.stores.connect import connect_stores, on_demand_clients, require_access
from streams.worker.check import wire_check
from streams.worker.cleaning import wire_cleaning
from streams.worker.edges import wire_edges
from streams.worker.fanout import wire_bulk, wire_normal
from streams.worker.media import decode_slots
from streams.worker.monitoring import serve_metrics
from streams.worker.overload import overload_watch
from streams.worker.parts import SharedParts, Wiring
from streams.worker.process import Failure, Process
from streams.worker.renditions import wire_fulls, wire_thumbnails
from streams.worker.reporting import WorkerReporter

# A batch creates tens of thousands of objects that reference counting frees. At Python's default of 700 the
# collector would look for cycles dozens of times a batch.
COLLECTED_OBJECTS_MIN = 10_000
# The threads of Kafka's and Cassandra's drivers compete with the event loop for the interpreter. By Python's
# default of 5 ms, a post that waits for the loop ten times is tens of milliseconds later.
SWITCH_S = 0.001

WIRINGS: Mapping[Role, Sequence[Wiring]] = MappingProxyType(
    {
        Role.CHECK: (wire_check,),
        Role.EDGES: (wire_edges,),
        Role.NORMAL: (wire_normal,),
        Role.BULK: (wire_bulk,),
        Role.THUMBNAIL: (wire_thumbnails, wire_cleaning),
        Role.FULL: (wire_fulls, wire_cleaning),
    }
)


def wirings_of(roles: Collection[Role]) -> list[Wiring]:
    """Return the wirings of the roles; a wiring that several roles share is returned once."""
    return list(dict.fromkeys(wiring for role in Role if role in roles for wiring in WIRINGS[role]))


async def run_worker(roles: Collection[Role]) -> None:
    """Run a worker with `roles` until SIGTERM or SIGINT; settings come from the environment.

    Raises:
        ValidationError: A setting is not valid.
        TopicMismatch: The topics have other partitions than the settings say; nothing was consumed.
        StoreMisconfigured: A store will never let this process in with its settings; nothing was written.
        Exception: A bug, or a consumer that stopped silently; the process must be restarted.
    """
    settings = load()
    _tune_interpreter()

    async def work() -> None:
        failure, progress = Failure(), Progress()
        waits_for, process = "cassandra", None
        timeout_ms = settings.worker_store_timeout_ms

        def missing() -> str:
            return waits_for if process is None else process.missing()

        async with AsyncExitStack() as closing:
            # From the first second, so that a liveness probe leaves a process alone that waits.
            await closing.enter_async_context(serve_metrics(settings, missing))
            clients = await closing.enter_async_context(on_demand_clients(settings, timeout_ms=timeout_ms))
            await require_access(clients, settings)
            stores = await closing.enter_async_context(
                connect_stores(clients, settings, timeout_ms=timeout_ms)
            )
            waits_for = "kafka"
            producer = await closing.enter_async_context(Producer(settings, timeout_ms=timeout_ms))
            sizes = await sizes_once_kafka_answers(producer, settings.namespace)
            kafka_clock = KafkaClock(producer, namespace=settings.namespace)
            clocks = Clocks.of_stores(
                settings, cassandra=stores.cassandra_clock, redis=stores.redis_clock, kafka=kafka_clock
            )
            await clocks.compare()  # Before the first event is judged.
            offsets = Offsets(settings)
            overload = await overload_watch(
                settings, settings, stores.deferred, stores.switches, producer, offsets, sizes
            )
            shared = SharedParts(
                settings=settings,
                stores=stores,
                producer=producer,
                sizes=sizes,
                outbox=KafkaOutbox(producer, settings.namespace, sizes),
                offsets=offsets,
                progress=progress,
                clocks=clocks,
                overload=overload,
                throttle=BackgroundThrottle(settings.bulk_rest_ratio, settings.bulk_rest_ms_max / 1_000),
                decode_slots=decode_slots(settings),
                large_turn=asyncio.Lock(),
                fatal=failure.fatal,
            )
            process, reporter = _process(shared, roles, failure)
            await _run(process, reporter)

    await run_until_signal(work(), within_s=settings.stop_s_max)


def _process(
    shared: SharedParts, roles: Collection[Role], failure: Failure
) -> tuple[Process, WorkerReporter]:
    """Return the process with the loops that every worker has, and what reports how it is."""
    settings, lanes = shared.settings, lanes_of_groups(shared.settings.namespace)
    watchdog = Watchdog(
        shared.progress,
        shared.offsets,
        shared.stores.stuck_partitions,
        still_s_max=settings.watchdog_s,
        fatal=failure.fatal,
        look_s=min(LOOK_S, settings.watchdog_s / 4),
        lanes=lanes,
    )
    reporter = WorkerReporter(
        settings=settings, reports=shared.stores.worker_reports, progress=shared.progress, lanes=lanes
    )
    wired = [wire(shared) for wire in wirings_of(roles)]
    loops = [watchdog.run, shared.clocks.run, shared.overload.run, reporter.run]
    return Process(wired, shared.progress, failure, shared.clocks, loops=loops), reporter


async def _run(process: Process, reporter: WorkerReporter) -> None:
    """Run until a signal cancels this, which is an end in order, or a bug ends the process, which is none."""
    try:
        await process.run()
    except asyncio.CancelledError:
        await reporter.leave()
        raise


def _tune_interpreter() -> None:
    gc.set_threshold(COLLECTED_OBJECTS_MIN)
    sys.setswitchinterval(SWITCH_S)
