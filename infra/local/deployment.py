"""One system of its own on a running stack: topics, keyspace, workers and API under a namespace.

For tests, benches and the demo: any number live beside each other on one stack.
"""

import asyncio
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

from infra.local import ports
from infra.local.errors import StackError
from infra.local.processes.daemon import Daemon
from infra.local.stack import Stack
from schemas.events import encode_event
from schemas.facts import EventData
from streams.kafka.offsets.offsets import Offsets
from streams.kafka.offsets.queued import queued_records
from streams.kafka.producing.producer import Outgoing, Producer
from streams.roles import EVENT_ROLES, LANES, MEDIA_ROLES, RENDITION_LANES, Role, group_of
from streams.settings import Settings
from streams.stores.cassandra.migrations import migrate
from streams.stores.cassandra.session import make_cluster
from topics.admin import ensure_topics
from topics.catalogue import CATALOGUE, EDGES, FANOUT, FOLLOWS, LIKES, RENDITIONS, UPLOADS
from topics.partitioning import partition_of
from topics.routing import route_of

READY_S = 90.0
LOOK_S = 0.1

# A process and where it says that it is ready.
Starting = tuple[Daemon, Callable[[], str]]


class Deployment:
    """`environment` has settings of this deployment alone, by the names of the contract."""

    def __init__(self, stack: Stack, namespace: str, environment: Mapping[str, str] | None = None) -> None:
        self.stack = stack
        self.namespace = namespace
        self.environment = {
            **stack.environment(),
            "SHUTTERLINE_NAMESPACE": namespace,
            "SHUTTERLINE_API": f"http://127.0.0.1:{ports.unused(())}",
            **(environment or {}),
        }
        named = {name.removeprefix("SHUTTERLINE_").lower(): value for name, value in self.environment.items()}
        self.settings = Settings.model_validate(named)
        self._started: set[str] = set()
        self._has_media = False
        self._offsets: Offsets | None = None

    def prepare(self) -> None:
        """Make the topics and the keyspace; nothing happens where they are there."""
        ensure_topics(self.settings.kafka, self.namespace)
        cluster = make_cluster(self.settings, timeout_s=30.0)
        try:
            migrate(cluster.connect(), self.settings)
        finally:
            cluster.shutdown()

    def start_worker(
        self, name: str = "worker-1", roles: Collection[Role] = EVENT_ROLES, **environment: str
    ) -> Daemon:
        """Start a worker and wait until it has its partitions."""
        return self.wait_ready(*self._worker(name, roles, environment))

    def start_media(self, name: str = "media-1", **environment: str) -> Daemon:
        """Start a worker that makes renditions, and wait until it has its partitions."""
        return self.wait_ready(*self._media(name, environment))

    def start_api(self, name: str = "api", **environment: str) -> Daemon:
        """Start the API and wait until every store answers it."""
        return self.wait_ready(*self._api(name, environment))

    def start_all(self, *, media: bool = False) -> None:
        """A worker and the API, and one that makes renditions if asked for; they start side by side."""
        begun = [self._worker("worker-1", EVENT_ROLES, {}), self._api("api", {})]
        if media:
            begun.append(self._media("media-1", {}))
        for daemon, url in begun:
            self.wait_ready(daemon, url)

    def _worker(self, name: str, roles: Collection[Role], environment: Mapping[str, str]) -> Starting:
        daemon = self._start(name, ["worker", "--roles", ",".join(roles)], environment)
        return daemon, lambda: f"http://{daemon.metrics_file.read_text().strip()}/readyz"

    def _media(self, name: str, environment: Mapping[str, str]) -> Starting:
        self._has_media = True
        return self._worker(name, MEDIA_ROLES, environment)

    def _api(self, name: str, environment: Mapping[str, str]) -> Starting:
        return self._start(name, ["api"], environment), lambda: f"{self.settings.api}/readyz"

    def wait_ready(self, daemon: Daemon, url: Callable[[], str]) -> Daemon:
        """Wait until the process answers 200 at `url`; answers the process.

        Raises:
            StackError: It ended, or did not answer in time; with the end of its log.
        """
        deadline = time.monotonic() + READY_S
        while not _answers(url):
            if daemon.pid is None or time.monotonic() > deadline:
                raise StackError(f"{daemon.name} is not ready:\n{daemon.log_tail()}")
            time.sleep(LOOK_S)
        return daemon

    def stop(self) -> None:
        """End the processes of this deployment."""
        with ThreadPoolExecutor() as threads:
            list(threads.map(self.stack.stop_process, sorted(self._started)))

    def _start(self, name: str, command: Sequence[str], environment: Mapping[str, str]) -> Daemon:
        full = f"{self.namespace}{name}"
        self._started.add(full)
        return self.stack.start_process(
            full, [sys.executable, "-m", "shutterline", *command], {**self.environment, **environment}
        )

    def outgoing(
        self,
        event_data: EventData,
        *,
        time_us: int | None = None,
        source: str = "/deployment",
        partition: int | None = None,
    ) -> Outgoing:
        """The event as a record of its topic; the time is now unless it is given."""
        route = route_of(event_data)
        key, value, headers = encode_event(
            route.event_type,
            event_data,
            id=str(uuid4()),
            source=source,
            time_us=time_us or time.time_ns() // 1_000,
        )
        if partition is None:
            partition = partition_of(route.topic, route.key_id)
        return Outgoing(route.topic.named(self.namespace), partition, key, value, headers)

    async def publish(self, records: Iterable[Outgoing]) -> None:
        """Publish records and wait for their acknowledgement."""
        async with Producer(self.settings, timeout_ms=60_000) as producer:
            waiting: list[Outgoing] = []
            for record in records:
                waiting.append(record)
                if len(waiting) == 10_000:
                    await producer.send(waiting)
                    waiting = []
            await producer.send(waiting)

    async def lag(self) -> dict[str, int]:
        """Records that each consumer group has not committed yet."""
        # Kept, because it holds a connection for each group.
        offsets = self._offsets = self._offsets or Offsets(self.settings)
        groups = [(Role.CHECK, topic, range(topic.partitions)) for topic in (UPLOADS, FOLLOWS, LIKES)]
        groups += [(Role.EDGES, EDGES, range(EDGES.partitions))]
        groups += [(role, FANOUT, FANOUT.range_of(lane)) for role, lane in LANES.items()]
        if self._has_media:  # Without, nobody is to commit what lies there.
            groups += [
                (role, RENDITIONS, RENDITIONS.range_of(lane)) for role, lane in RENDITION_LANES.items()
            ]
        lags: dict[str, int] = {}
        for role, topic, partitions in groups:
            name, group = topic.named(self.namespace), group_of(self.namespace, role)
            queued = await queued_records(offsets, group=group, topic=name, partitions=partitions)
            lags[group] = lags.get(group, 0) + queued
        return lags

    async def drained(self, deadline_s: float = 120.0) -> float:
        """Wait until every group has committed everything; answers how many seconds that took.

        Raises:
            TimeoutError: Names what is left.
        """
        began = time.monotonic()
        while True:
            # Twice, because work moves from topic to topic between two looks.
            lags = [await self.lag(), await self.lag()]
            if not any(any(lag.values()) for lag in lags):
                return time.monotonic() - began
            if time.monotonic() - began > deadline_s:
                raise TimeoutError(f"not drained after {deadline_s:.0f} s: {lags[-1]}")
            # Each look is some dozen requests to Kafka: after minutes a second more or less is nothing.
            await asyncio.sleep(max(LOOK_S, (time.monotonic() - began) / 100))

    def metric(self, name: str, process: str = "worker-1") -> float:
        """The sum of the samples of one process that begin with `name`: a name, or one with its labels."""
        address = self.stack.process(f"{self.namespace}{process}").metrics_file.read_text().strip()
        with urllib.request.urlopen(f"http://{address}/metrics", timeout=10) as answer:
            lines = answer.read().decode().splitlines()
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(name))

    @property
    def topics(self) -> list[str]:
        return [topic.named(self.namespace) for topic in CATALOGUE.values()]


def _answers(url: Callable[[], str]) -> bool:
    try:
        with urllib.request.urlopen(url(), timeout=2) as answer:
            return bool(answer.status == 200)
    except (OSError, ValueError, urllib.error.URLError):
        return False
