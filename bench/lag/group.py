"""One topic and one consumer group of a scenario on a real broker, with a lag monitor of their own.

The monitor is the product's, in this process. What workers store in Cassandra is in memory.
"""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any, NoReturn
from uuid import uuid4

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic, RecordsToDelete

from bench.lag.consuming import Consumer
from bench.lag.trace import Figures, Look, Moved, PartitionTrace, Produced, Trace, Truth
from streams.clock import unix_ms
from streams.core.lag.history import LagHistory
from streams.core.lag.rebalances import RebalanceLog
from streams.core.lag.report import Json
from streams.core.lag.samples import GroupLogs, TopicLogs
from streams.core.lag.states import LagState
from streams.core.overload.backlog import LaneBacklog
from streams.errors import StoreUnavailable
from streams.kafka.clients import aiokafka_client
from streams.kafka.offsets.members import GroupMembers
from streams.kafka.offsets.offsets import Offsets
from streams.monitor.monitor import LagMonitor
from streams.monitor.sampling import Sampler
from streams.ports.coordination import Stop
from streams.ports.groups import CoordinationStores
from streams.settings import KafkaSettings
from streams.stores.memory.coordination import MemoryStoppedPartitions
from streams.stores.memory.stores import memory_stores
from topics.catalogue import Lane

# The monitor's own settings: `monitor_interval_ms`, `_timeout_ms`, `_stale_s_max` and `_unowned_ms`.
LOOK_S, TIMEOUT_S, STALE_S, UNOWNED_S = 2.0, 3.0, 10.0, 1.5
# A verdict must be right so long after its truth began, by the time of the look.
VERDICT_S_MAX = 10.0
RETENTION_S = 7 * 86_400.0
SMALL = b"x" * 20


class NoBacklog:
    """There is no log of `fanout` here."""

    committed: Mapping[int, int] = {}

    async def read(self) -> Mapping[Lane, LaneBacklog]:
        return {}


class Stops(MemoryStoppedPartitions):
    """Stops in memory; with `is_away` Cassandra does not respond."""

    is_away = False

    async def stops(self, group: str) -> list[Stop]:
        if self.is_away:
            raise StoreUnavailable("cassandra", "stops", "it is away")
        return await super().stops(group)


@dataclass(slots=True)
class Broker:
    """The clients that all scenarios share. `kill` and `start` do that to the broker itself."""

    kafka: KafkaSettings
    admin: AIOKafkaAdminClient
    producer: AIOKafkaProducer
    offsets: Offsets
    kill: Callable[[], None]
    start: Callable[[], None]


@asynccontextmanager
async def broker(kafka: str, *, kill: Callable[[], None], start: Callable[[], None]) -> AsyncIterator[Broker]:
    """Connect to the broker at `kafka`."""
    settings = KafkaSettings(kafka=kafka)
    client = aiokafka_client(settings)
    admin, producer = AIOKafkaAdminClient(**client), AIOKafkaProducer(**client)
    await admin.start()
    await producer.start()
    try:
        yield Broker(settings, admin, producer, Offsets(settings, timeout_s=TIMEOUT_S), kill, start)
    finally:
        await producer.stop()
        await admin.close()


@dataclass(slots=True)
class ScenarioGroup:
    """What a scenario does, and what the monitor sees. A commit may stand still for `still_s`."""

    broker: Broker
    partitions: int = 1
    still_s: float = 60.0
    topic: str = field(init=False)
    trace: Trace = field(init=False)
    # Of its own: two who connect it at the same time would leave a connection behind.
    members: GroupMembers = field(init=False)
    stops: Stops = field(init=False)
    stores: CoordinationStores = field(init=False)
    # Anything that the scenario runs meanwhile; it ends with the scenario.
    tasks: set[asyncio.Task[None]] = field(default_factory=set, init=False)
    _consumers: list[Consumer] = field(default_factory=list, init=False)
    _looking: asyncio.Task[NoReturn] | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self.topic = f"lag-{uuid4().hex[:8]}"
        self.members = GroupMembers(self.broker.kafka, timeout_s=TIMEOUT_S)
        self.trace = Trace([PartitionTrace() for _ in range(self.partitions)])
        self.stops = Stops()
        self.stores = replace(memory_stores(clock_ms=unix_ms), stopped_partitions=self.stops)

    @property
    def group(self) -> str:
        """The name of the consumer group, which is that of its topic."""
        return self.topic

    async def open(self) -> None:
        """Make the topic and start the monitor."""
        await self.broker.admin.create_topics([NewTopic(self.topic, self.partitions, 1)])
        await self.is_owned()
        self.start_monitor()

    async def close(self) -> None:
        """End everything that the scenario has started."""
        await self.stop_monitor()
        # A client whose start was cancelled would leave connections behind.
        with suppress(TimeoutError):
            async with asyncio.timeout(VERDICT_S_MAX):
                await asyncio.gather(*(consumer.leave() for consumer in self._consumers))
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        await self.members.close()

    def start_monitor(self) -> None:
        """Start a monitor that has seen nothing yet."""
        logs = TopicLogs(
            topic=self.topic, lane=None, partitions=range(self.partitions), retention_s=RETENTION_S
        )
        group = GroupLogs(group=self.group, topics=[logs], still_s=self.still_s)
        monitor = LagMonitor(
            groups=lambda: [group],
            sampler=Sampler(self.broker.offsets, self.members),
            backlog=NoBacklog(),
            history=LagHistory(step_s=10, columns_max=60),
            rebalances=RebalanceLog(50),
            interval_s=LOOK_S,
            stale_s=STALE_S,
            unowned_s=UNOWNED_S,
        )
        self._looking = asyncio.create_task(self._look(monitor))
        self.run(monitor.watch_stored(self.stores))

    async def stop_monitor(self) -> None:
        """Kill the monitor; nobody looks any more."""
        if self._looking is not None:
            self._looking.cancel()
            with suppress(asyncio.CancelledError):
                await self._looking

    def run(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run something beside the scenario, until it ends."""
        task = asyncio.create_task(work)
        self.tasks.add(task)
        return task

    async def produce(
        self, count: int, partition: int = 0, *, ahead_ms: int = 0, producer: AIOKafkaProducer | None = None
    ) -> list[int]:
        """Produce records of now, or of a clock that is ahead; returns their offsets once acknowledged.

        With a `producer` of its own they are in its transaction, and no part of the truth.
        """
        records = [Produced(unix_ms() + ahead_ms, unix_ms()) for _ in range(count)]
        if producer is None:
            self.trace.partitions[partition].records += records
        sent = [
            await (producer or self.broker.producer).send(
                self.topic, SMALL, partition=partition, timestamp_ms=int(record.timestamp_ms)
            )
            for record in records
        ]
        for record, future in zip(records, sent, strict=True):
            record.offset = (await future).offset
            record.acked_ms = unix_ms()
        return [int(record.offset) for record in records]

    async def produce_steadily(self, per_s: int, partition: int = 0) -> None:
        """Produce until cancelled."""
        while True:
            await self.produce(max(1, per_s // 5), partition)
            await asyncio.sleep(0.2)

    def consume(self, *, records_per_s_max: int = 0, stuck_at: Mapping[int, int] | None = None) -> Consumer:
        """Start a consumer whose commits are part of the trace; see `Consumer`."""
        consumer = Consumer(
            self.broker.kafka,
            self.topic,
            self.group,
            self._commit,
            records_per_s_max=records_per_s_max,
            stuck_at=dict(stuck_at or {}),
        )
        self._consumers.append(consumer)
        self.run(consumer.run())
        return consumer

    async def is_owned(self) -> bool:
        """Return whether every partition has an owner."""
        try:
            members = (await self.members.of([self.group])).get(self.group)
        except StoreUnavailable:
            return False
        return members is not None and len(members.owners) == self.partitions

    async def remove_before(self, offset: int, partition: int = 0) -> None:
        """Remove the records before the offset from the log, as retention does."""
        removal = Moved(offset, unix_ms())
        self.trace.partitions[partition].removals.append(removal)
        logs = {TopicPartition(self.topic, partition): RecordsToDelete(offset)}
        await self.broker.admin.delete_records(logs)
        removal.acked_ms = unix_ms()

    def is_now(self, state: LagState, *, in_s: float = 0.0) -> None:
        """State the truth from now on, or from a later moment on."""
        self.trace.truths.append(Truth(unix_ms() + in_s * 1_000, state))

    async def seen(self, state: LagState, *, within_s: float = 2 * VERDICT_S_MAX) -> None:
        """Wait until the monitor says so; go on without it, because the looks are judged afterwards."""
        began_ms = unix_ms()
        while unix_ms() - began_ms < within_s * 1_000:
            if any(look.began_ms >= began_ms and look.state is state for look in self.trace.looks[-1:]):
                return
            await asyncio.sleep(0.1)

    def _commit(self, partition: int, offset: int) -> Callable[[], None]:
        commit = Moved(offset, unix_ms())
        self.trace.partitions[partition].commits.append(commit)

        def acknowledged() -> None:
            commit.acked_ms = unix_ms()

        return acknowledged

    async def _look(self, monitor: LagMonitor) -> NoReturn:
        while True:
            began_ms = unix_ms()
            await monitor.refresh()
            ended_ms = unix_ms()
            if (report := monitor.report()) is not None:
                self.trace.looks.append(_look_of(report, began_ms, ended_ms))
            await asyncio.sleep(max(0.0, LOOK_S - (unix_ms() - began_ms) / 1_000))


def _look_of(report: Json, began_ms: float, ended_ms: float) -> Look:
    [group] = report["groups"]
    [topic] = group["topics"]
    rows: Sequence[Json] = topic["partitions"]
    partitions = [
        Figures(LagState(row["state"]), row["committed"], row["end"], row["lag_messages"], row["lag_seconds"])
        for row in rows
    ]
    return Look(began_ms, ended_ms, LagState(group["state"]), group["reason"], partitions)


@dataclass(slots=True)
class ConsumerProcess:
    """A consumer in a process of its own, which can be killed and stopped."""

    scenario: ScenarioGroup
    _process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start it; its commits are part of the trace."""
        scenario = self.scenario
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "bench.lag.consuming"),
            *(scenario.broker.kafka.kafka, scenario.topic, scenario.group),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        scenario.run(self._read(self._process))

    def signal(self, number: int) -> None:
        """Send it a signal."""
        assert self._process is not None
        self._process.send_signal(number)

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        try:
            async for line in process.stdout:
                kind, partition, offset, at_ms = line.decode().split()
                commits = self.scenario.trace.partitions[int(partition)].commits
                if kind == "sent":
                    commits.append(Moved(int(offset), int(at_ms)))
                else:
                    commits[-1].acked_ms = int(at_ms)
        finally:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
