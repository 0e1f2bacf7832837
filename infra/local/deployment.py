"""A separate pipeline on a running stack: topics, keyspace, workers and API under a namespace.

Tests, benches and the demo use it; one stack can have any number of them.
"""

import asyncio
import json
import sys
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import MappingProxyType
from urllib.parse import urlsplit
from uuid import uuid4

from infra.local import ports
from infra.local.deferred import DeferredCount
from infra.local.errors import StackError
from infra.local.paths import PROJECT
from infra.local.processes.daemon import Daemon
from infra.local.processes.readiness import wait_ready
from infra.local.servers.probes import http_body, http_responds, process_responds
from infra.local.stack import Stack
from schemas.events import encode_event
from schemas.facts import EventData
from streams.errors import StoreUnavailable
from streams.kafka.offsets.offsets import Offsets
from streams.kafka.offsets.queued import queued_records
from streams.kafka.producing.producer import Outgoing, Producer
from streams.roles import EVENT_ROLES, LANES, MEDIA_ROLES, RENDITION_LANES, Role, group_of
from streams.settings import Settings
from streams.stores.cassandra.migrations import migrate
from streams.stores.cassandra.session import make_cluster
from topics.admin import ensure_topics
from topics.catalogue import CATALOGUE, EDGES, FANOUT, FOLLOWS, LIKES, RENDITIONS, UPLOADS
from topics.routing import route_of
from topics.sizes import SIZES, Profile

READY_S = 90.0
LOOK_S = 0.1
METRICS_S = 10.0
ONE_WORKER: Mapping[str, Collection[Role]] = MappingProxyType({"worker-1": EVENT_ROLES})

# A process, and whether it is ready.
Starting = tuple[Daemon, Callable[[], bool]]


class Deployment:
    """`environment` has settings for this deployment only, by the names of their environment variables.

    `folder` is the checkout whose processes run; events and addresses are the same in all of them.
    """

    def __init__(
        self,
        stack: Stack,
        namespace: str,
        environment: Mapping[str, str] | None = None,
        *,
        folder: Path = PROJECT,
    ) -> None:
        self.stack = stack
        self.folder = folder
        self.namespace = namespace
        self.environment = {
            **stack.environment(),
            "SHUTTERLINE_NAMESPACE": namespace,
            # The processes also see the environment of this one, whose sizes may be those of the stack.
            "SHUTTERLINE_SIZES": Profile.LOCAL.value,
            "SHUTTERLINE_API": f"http://127.0.0.1:{ports.unused((), _followed_by_free)}",
            "SHUTTERLINE_MONITOR": f"127.0.0.1:{ports.unused(())}",
            **(environment or {}),
        }
        self.settings = _settings_of(self.environment)
        self.sizes = SIZES[self.settings.sizes]
        self._started: set[str] = set()
        self._has_media = False
        self._offsets: Offsets | None = None
        self._deferred = DeferredCount(self.settings)

    def prepare(self) -> None:
        """Make the topics and the keyspace, unless they exist."""
        with ThreadPoolExecutor() as threads:  # At the same time: each waits for its own server.
            for making in (threads.submit(self._make_topics), threads.submit(self._make_keyspace)):
                making.result()

    def _make_topics(self) -> None:
        ensure_topics(
            self.settings.kafka,
            self.namespace,
            self.sizes,
            replication_factor=self.settings.kafka_replicas,
            client_config=self.settings.kafka_security,
        )

    def _make_keyspace(self) -> None:
        cluster = make_cluster(self.settings, timeout_s=30.0)
        cluster.schema_metadata_enabled = False  # It would be read again after each of the tables.
        try:
            migrate(cluster.connect(), self.settings)
        finally:
            cluster.shutdown()

    def start_worker(
        self, name: str = "worker-1", roles: Collection[Role] = EVENT_ROLES, **environment: str
    ) -> Daemon:
        """Start a worker; returns when it has its partitions.

        Raises:
            StackError: The worker ended, or was not ready within `READY_S`.
        """
        return _ready(*self._worker(name, roles, environment))

    def start_media(self, name: str = "media-1", **environment: str) -> Daemon:
        """Start a worker that makes renditions; see `start_worker`."""
        return _ready(*self._media(name, environment))

    def start_api(self, name: str = "api", *, processes: int = 1, **environment: str) -> Daemon:
        """Start the API; returns when every store responds to it. Raises: see `start_worker`."""
        return _ready(*self._api(name, environment, processes))

    def start_monitor(self, name: str = "monitor", **environment: str) -> Daemon:
        """Start the lag monitor; returns when it has a sample. Raises: see `start_worker`."""
        return _ready(*self._monitor(name, environment))

    def start_all(
        self,
        workers: Mapping[str, Collection[Role]] = ONE_WORKER,
        *,
        media: bool = False,
        monitor: bool = False,
    ) -> None:
        """Start the workers and the API at the same time, with `media` also one that makes renditions."""
        starting = [self._worker(name, roles, {}) for name, roles in workers.items()]
        starting.append(self._api("api", {}))
        if monitor:
            starting.append(self._monitor("monitor", {}))
        if media:
            starting.append(self._media("media-1", {}))
        wait_ready(dict(starting), deadline_s=READY_S)

    def _worker(self, name: str, roles: Collection[Role], environment: Mapping[str, str]) -> Starting:
        daemon = self._start(name, ["worker", "--roles", ",".join(roles)], environment)
        return daemon, lambda: process_responds(daemon, "/readyz")

    def _media(self, name: str, environment: Mapping[str, str]) -> Starting:
        self._has_media = True
        return self._worker(name, MEDIA_ROLES, environment)

    def _monitor(self, name: str, environment: Mapping[str, str]) -> Starting:
        daemon = self._start(name, ["monitor"], environment)
        return daemon, lambda: process_responds(daemon, "/readyz")

    def _api(self, name: str, environment: Mapping[str, str], processes: int = 1) -> Starting:
        address = urlsplit(self.settings.api).netloc
        # A checkout that is compared with this one may not know the option.
        several = ["--processes", str(processes)] if processes > 1 else []
        return self._start(name, ["api", *several], environment), lambda: http_responds(address, "/readyz")

    def stop(self) -> None:
        """Stop the processes of this deployment."""
        self._deferred.close()
        with ThreadPoolExecutor() as threads:
            list(threads.map(self.stack.stop_process, sorted(self._started)))

    def _start(self, name: str, command: Sequence[str], environment: Mapping[str, str]) -> Daemon:
        full = f"{self.namespace}{name}"
        self._started.add(full)
        return self.stack.start_process(
            full,
            [sys.executable, "-m", "shutterline", *command],
            {**self.environment, **environment},
            folder=self.folder,
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
            partition = self.sizes.partition_of(route.topic, route.key_id)
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
        # The object is reused, because it holds a connection for each group.
        offsets = self._offsets = self._offsets or Offsets(self.settings)
        groups = [(Role.CHECK, topic, self.sizes.range_of(topic)) for topic in (UPLOADS, FOLLOWS, LIKES)]
        groups += [(Role.EDGES, EDGES, self.sizes.range_of(EDGES))]
        groups += [(role, FANOUT, self.sizes.range_of(FANOUT, lane)) for role, lane in LANES.items()]
        if self._has_media:  # Otherwise no worker consumes the topic.
            groups += [
                (role, RENDITIONS, self.sizes.range_of(RENDITIONS, lane))
                for role, lane in RENDITION_LANES.items()
            ]
        lags: dict[str, int] = {}
        for role, topic, partitions in groups:
            name, group = topic.named(self.namespace), group_of(self.namespace, role)
            queued = await queued_records(offsets, group=group, topic=name, partitions=partitions)
            lags[group] = lags.get(group, 0) + queued
        return lags

    async def drained(self, deadline_s: float = 120.0) -> float:
        """Wait until every group has committed everything, and every deferred post is pushed.

        Returns how many seconds that took.

        Raises:
            TimeoutError: Names what is left, or what Kafka said.
        """
        began = time.monotonic()
        while True:
            left = await self._left()
            if not left:
                return time.monotonic() - began
            if time.monotonic() - began > deadline_s:
                raise TimeoutError(f"not drained after {deadline_s:.0f} s: {left}")
            # Each look sends dozens of requests to Kafka, so the pause grows: it is 1% of the time
            # waited so far, at least `LOOK_S`.
            await asyncio.sleep(max(LOOK_S, (time.monotonic() - began) / 100))

    async def _left(self) -> dict[str, int] | StoreUnavailable | None:
        """What is left; None if nothing is. A broker that was held up may not know its groups."""
        try:
            # Read the lag twice: during one reading, work can move from a topic that is still to be
            # read to one that was read already.
            for lag in (await self.lag(), await self.lag()):
                if any(lag.values()):
                    return lag
            if deferred := await self.deferred():
                return {"deferred posts": deferred}
            lag = await self.lag()  # The last of them may have been published meanwhile.
        except StoreUnavailable as error:
            return error
        return lag if any(lag.values()) else None

    async def deferred(self) -> int:
        """Return how many posts are deferred and not published yet.

        Raises:
            StoreUnavailable: Cassandra does not answer.
        """
        return await asyncio.to_thread(self._deferred.read)

    def metric(self, name: str, process: str = "worker-1") -> float:
        """The sum of the samples of one process that begin with `name`: a name, or one with its labels.

        Raises:
            StackError: The process does not answer.
        """
        address = self.stack.process(f"{self.namespace}{process}").metrics_address
        page = http_body(address, "/metrics", deadline_s=METRICS_S) if address else None
        if page is None:
            raise StackError(f"{process} does not answer /metrics")
        return sum(float(line.rsplit(" ", 1)[1]) for line in page.splitlines() if line.startswith(name))

    @property
    def topics(self) -> list[str]:
        return [topic.named(self.namespace) for topic in CATALOGUE.values()]


def _settings_of(environment: Mapping[str, str]) -> Settings:
    """The settings as a process reads them from this environment: mappings are JSON."""
    return Settings.model_validate(
        {
            name.removeprefix("SHUTTERLINE_").lower(): json.loads(value) if value.startswith("{") else value
            for name, value in environment.items()
        }
    )


def _ready(daemon: Daemon, checks: Callable[[], bool]) -> Daemon:
    """Wait until `checks` returns true, and return the process; raises what `wait_ready` does."""
    wait_ready({daemon: checks}, deadline_s=READY_S)
    return daemon


def _followed_by_free(port: int) -> bool:
    """Whether the port is free, and those on which two API processes behind it have their metrics."""
    return all(ports.is_free(each) for each in range(port, port + 3))
