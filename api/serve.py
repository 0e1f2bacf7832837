"""One API process: listen, connect to the stores, make the services, and serve until a signal."""

import asyncio
import gc
import logging
import socket
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager, suppress
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import uvicorn
import uvloop
from starlette.types import ASGIApp

from api.access_log import AccessLog
from api.app import create_app
from api.composition import OpsClients, make_services
from api.event_streams import EventStreams
from api.http.connections import Connections, networks
from api.http.cors import with_cors
from api.http.protocol import BoundedProtocol
from api.http.refusals import ConnectionBounds
from api.lag_reader import OVERVIEW_FRESH_S, LagReader, monitor_read, overview_without_data
from api.photo_ids import PhotoIds
from api.processes import listening_sockets, when_parent_ends
from api.reading.media_keys import load_media_keys
from api.services import Services
from api.starting import Front
from api.traced import traced
from streams.errors import StoreUnavailable
from streams.gathering import run_together
from streams.jobs.clocks import Clocks
from streams.jobs.dead_letters.background import BackgroundRuns, DeadLetterTopics
from streams.kafka.consuming.dead_letter_log import KafkaDeadLetterLog
from streams.kafka.consuming.record_log import KafkaRecordLog
from streams.kafka.offsets.offsets import Offsets
from streams.kafka.offsets.renditions_queue import ASK_S_MAX, RenditionsQueue
from streams.kafka.producing.health import KafkaClock, KafkaStoreProbe
from streams.kafka.producing.producer import Producer
from streams.kafka.producing.publisher import KafkaPublisher
from streams.kafka.producing.replays import KafkaOperationsLog, KafkaReplays
from streams.metrics_file import metrics_file
from streams.polling import poll
from streams.ports.coordination import HandledDeadLetters
from streams.ports.leases import Leases
from streams.retrying import while_starting
from streams.settings import ApiProcessSettings, ApiSettings, ConnectionSettings, StoreSettings
from streams.stopping import on_stop_signal
from streams.stores.connect import (
    OnDemandClients,
    connect_stores,
    on_demand_clients,
    probes_of,
    require_access,
)

# A publish may take this share of a request's time, because the row is written after it.
PUBLISH_SHARE = 0.5

# A page creates thousands of objects that reference counting frees. At Python's default of 700 the
# collector would look for cycles several times a page, which takes a fifth of the page's time.
COLLECTED_OBJECTS_MIN = 10_000
TICK_S = 1.0
SIZES_S = 30.0
log = logging.getLogger(__name__)


def run(settings: ApiProcessSettings, write_access: Callable[..., object], *, number: int = 0) -> None:
    """Serve until SIGTERM or SIGINT, on uvloop. `write_access` writes the events of the access log.

    `number` is that of one of several processes on the same port, from 1, see `of_member`.

    Raises:
        OSError: A port of one of several processes is in use.
    """
    gc.set_threshold(COLLECTED_OBJECTS_MIN)
    sockets = None
    if number:
        sockets = listening_sockets(*_address(settings), number)
    uvloop.run(serve(settings, AccessLog(write_access, settings), sockets))


async def serve(
    settings: ApiProcessSettings, access_log: AccessLog, sockets: Sequence[socket.socket] | None = None
) -> None:
    """Serve until SIGTERM or SIGINT; requests under way are finished. Without `sockets` it makes its own; the
    last one of `sockets` is the one for its metrics.

    It listens at once. Until it has connected to Cassandra, it serves what `Front` says.

    Raises:
        ValueError: A secret or a key is invalid.
        TopicMismatch: The topics have other partitions than the settings say; nothing was published.
        StoreMisconfigured: A store will never let this process in with its settings; nothing was written.
        Exception: A bug outside of requests; the process has to be started again.
    """
    host, port = _address(settings)
    media_keys = load_media_keys(settings)
    async with AsyncExitStack() as closing:
        clients = await closing.enter_async_context(
            on_demand_clients(settings, timeout_ms=settings.store_timeout_ms)
        )
        publish_ms = int(settings.request_deadline_ms * PUBLISH_SHARE)
        producer = await closing.enter_async_context(Producer(settings, timeout_ms=publish_ms))
        publisher = KafkaPublisher(producer, namespace=settings.namespace, source=settings.event_source)
        offsets = Offsets(settings, timeout_s=ASK_S_MAX)
        queue = RenditionsQueue(offsets, namespace=settings.namespace, sizes=producer.sizes)
        kafka_probe = KafkaStoreProbe(producer, namespace=settings.namespace)
        streams = EventStreams(settings)
        front = Front({**probes_of(clients, settings.namespace), "kafka": kafka_probe.check})

        async def work() -> None:
            await _require_stores(producer, clients, settings)
            async with AsyncExitStack() as closing:
                stores = await closing.enter_async_context(
                    connect_stores(clients, settings, timeout_ms=settings.store_timeout_ms)
                )
                ids = await closing.enter_async_context(PhotoIds(stores.shard_leases))
                kafka_clock = KafkaClock(producer, namespace=settings.namespace)
                clocks = Clocks.of_stores(
                    settings, cassandra=stores.cassandra_clock, redis=stores.redis_clock, kafka=kafka_clock
                )
                await clocks.compare()  # Before the first write is taken.
                services = make_services(
                    settings,
                    stores,
                    publisher,
                    queue,
                    offsets,
                    producer.sizes,
                    kafka_probe=kafka_probe,
                    ops=_ops_clients(
                        settings, stores.handled_dead_letters, stores.leases, producer, offsets, streams
                    ),
                    ids=ids,
                    media_keys=media_keys,
                    clocks=clocks,
                )
                for close in (services.rebuilder.close, services.ops.runs.close):
                    closing.push_async_callback(close)
                await _open(front, services, settings)
                await run_together(*services.loops(), clocks.run, partial(_compare_sizes, producer))

        closing.enter_context(metrics_file(settings, host, sockets[-1].getsockname()[1] if sockets else port))
        app = access_log.around(traced(with_cors(front, settings.cors_origins)))
        protocol = bounded_protocol(settings, access_log.refused)
        server = make_server(app, host, port, protocol, deadline_s=settings.request_deadline_ms // 1_000)
        server.on_stop(streams.close)
        on_stop_signal(server.stop, within_s=settings.stop_s_max)
        when_parent_ends(server.stop)
        await _serve_while(work(), server, sockets)


async def _open(front: Front, services: Services, settings: ApiProcessSettings) -> None:
    """Serve all requests from now on; while the revocations are not read, those with a token would be 503."""
    await while_starting(on=StoreUnavailable, log=log)(services.verifier.revoked.refresh)
    front.serve(_application(services, settings))


def _ops_clients(
    settings: ApiProcessSettings,
    handled: HandledDeadLetters,
    leases: Leases,
    producer: Producer,
    offsets: Offsets,
    streams: EventStreams,
) -> OpsClients:
    def topics() -> DeadLetterTopics:
        sizes = producer.sizes()
        return DeadLetterTopics(
            log=KafkaDeadLetterLog(settings, offsets, sizes),
            replays=KafkaReplays(producer, settings.namespace, sizes),
        )

    runs = BackgroundRuns(
        topics=topics,
        handled=handled,
        operations=KafkaOperationsLog(producer, settings.namespace),
        leases=leases,
        settings=settings,
    )
    return OpsClients(
        lag=LagReader(monitor_read(settings.monitor, "/lag")),
        overview=LagReader(
            monitor_read(settings.monitor, "/overview"),
            emptied=overview_without_data,
            fresh_s=OVERVIEW_FRESH_S,
        ),
        records=KafkaRecordLog(settings, timeout_s=settings.ops_record_ms_max / 1_000),
        runs=runs,
        streams=streams,
    )


def _application(services: Services, settings: ApiProcessSettings) -> ASGIApp:
    app = create_app(services, requests=settings, uploads=settings, photo_urls=settings, ops=settings)
    app.openapi()  # Made before the first request, which would hold up all others.
    return app


async def _require_stores(producer: Producer, clients: OnDemandClients, settings: StoreSettings) -> None:
    """Ask the stores that answer, before anything is written, whether this process can work with them.

    Raises: see `serve`.
    """
    try:
        await producer.compare_sizes()
    except StoreUnavailable:
        await producer.require_access()
    await require_access(clients, settings)


async def _compare_sizes(producer: Producer) -> None:
    """Compare them again and again: topics may grow, and follows on new partitions count as well."""
    await while_starting(on=StoreUnavailable, log=log)(producer.compare_sizes)
    await poll(producer.compare_sizes, SIZES_S, log=log, failure="the sizes of the topics are not known")


async def _serve_while(
    work: Coroutine[Any, Any, None], server: "_Server", sockets: Sequence[socket.socket] | None
) -> None:
    """Serve until the server is stopped or `work` fails; requests use what `work` closes at its end."""
    listening = None if sockets is None else list(sockets)
    working, serving = asyncio.create_task(work), asyncio.create_task(server.serve(listening))
    await asyncio.wait({working, serving}, return_when=asyncio.FIRST_COMPLETED)
    server.stop()
    await asyncio.wait({serving})
    working.cancel()
    await asyncio.wait({working})
    for task in (serving, working):
        if not task.cancelled():
            task.result()  # Raises the error that ended it.


class _Server(uvicorn.Server):
    """A server that handles no signals: uvicorn would raise them again before the stores close."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._stopping = asyncio.Event()
        self._called_on_stop: list[Callable[[], None]] = []

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def main_loop(self) -> None:
        """Return when the server is to stop. uvicorn's own loop looks ten times a second whether it is."""
        while not await self.on_tick(0):  # Sets the second in the header `date`.
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), TICK_S)

    def on_stop(self, ends: Callable[[], None]) -> None:
        """Call `ends` when the server is to stop, so that it need not wait for a response that goes on."""
        self._called_on_stop.append(ends)

    def stop(self) -> None:
        self.should_exit = True
        for ends in self._called_on_stop:
            ends()
        self._stopping.set()


def bounded_protocol(
    settings: ConnectionSettings, refused: Callable[[str, int, int], None]
) -> Callable[..., BoundedProtocol]:
    """Return what makes the protocol of each connection; its connections count together.

    `refused` is told of each refusal, see `BoundedProtocol`.

    Raises:
        ValueError: `connections_uncounted` has what is no network.
    """
    bounds = ConnectionBounds(
        settings.request_head_bytes_max,
        settings.request_head_s_max,
        settings.connection_idle_s_max,
        settings.pipelined_requests_max,
    )
    connections = Connections(
        per_address_max=settings.connections_per_address_max,
        uncounted=networks(settings.connections_uncounted),
    )
    return partial(BoundedProtocol, bounds=bounds, connections=connections, refused=refused)


def make_server(
    app: ASGIApp, host: str, port: int, protocol: Callable[..., BoundedProtocol], *, deadline_s: int
) -> _Server:
    """Return the server, which does not listen yet; requests under way get `deadline_s` when it stops."""
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        http=protocol,  # type: ignore[arg-type]  # uvicorn only calls it.
        ws="none",
        lifespan="off",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,
        # Every request under way ends by its own deadline.
        timeout_graceful_shutdown=deadline_s + 1,
    )
    return _Server(config)


def _address(settings: ApiSettings) -> tuple[str, int]:
    """Return the host and the port of the API's address.

    Raises:
        ValueError: The address lacks one of the two.
    """
    parts = urlsplit(settings.api)
    if parts.hostname is None or parts.port is None:
        raise ValueError(f"api is {settings.api!r}, but must be http://HOST:PORT")
    return parts.hostname, parts.port
