"""The API in memory: stores, a clock, a publisher, keys, and clients."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime
from functools import cache
from typing import Any, cast

import httpx
import jwt
import orjson
from cryptography.hazmat.primitives.asymmetric import rsa
from fastapi import FastAPI

from api.app import create_app
from api.composition import OpsClients, make_services
from api.event_streams import EventStreams
from api.http.cursors import CursorKind, decode_cursor
from api.http.inputs import PageQuery
from api.lag_reader import LagReader, overview_without_data
from api.photo_ids import PhotoIds
from api.reading.media_keys import KeyIds, MediaKeys
from api.routes.feed import feed_page
from api.services import Services
from schemas.events import EventType
from schemas.facts import EventData
from schemas.ids import PackedIds, PhotoId, UserId, pack_ids
from streams.core.counted import Membership
from streams.core.edges import OutgoingEdge
from streams.core.feed import Completeness
from streams.core.photos import Photo, StoredRendition
from streams.errors import StoreUnavailable
from streams.jobs.clocks import Clocks
from streams.jobs.dead_letters.background import BackgroundRuns, DeadLetterTopics
from streams.jobs.records import StoredRecord
from streams.photos.deleted import hide_photo
from streams.ports.coordination import HandledDeadLetters
from streams.ports.groups import Stores
from streams.ports.health import StoreProbe
from streams.ports.leases import Leases
from streams.ports.timelines import PhotosForOwners
from streams.settings import OpsSettings, ReplaySettings, Settings
from streams.stores.cache.following import cache_follows
from streams.stores.cache.keys import keys_of_photo
from streams.stores.memory.health import MemoryStoreProbe
from streams.stores.memory.stores import memory_stores
from tests.unit.streams.jobs.dead_letters.letters import MemoryLog, MemoryOperations, MemoryReplays
from tests.worlds.deliveries import PUSHED
from tests.worlds.kafka import LOCAL, FakeOffsets
from topics.catalogue import FANOUT
from topics.routing import route_of

SECRET = "a secret of more than thirty-two bytes"
NOW_MS = 1_800_000_000_000
CREATED_AT = datetime(2026, 1, 31, 12, 0, 0, 123_000, tzinfo=UTC)


@dataclass(slots=True)
class Clock:
    ms: int = NOW_MS

    def us(self) -> int:
        return self.ms * 1_000


@dataclass(frozen=True, slots=True)
class Published:
    topic: str
    key_id: int
    type: EventType
    data: EventData
    time_us: int


@dataclass(slots=True)
class FakePublisher:
    """Records the events. With `down` every call fails; with `fails_after_ping` a reply is lost."""

    published: list[Published] = field(default_factory=list)
    down: bool = False
    fails_after_ping: bool = False

    async def publish(self, event_data: EventData, *, time_us: int) -> None:
        if self.down:
            raise StoreUnavailable("kafka", "produce", "down")
        route = route_of(event_data)
        self.published.append(
            Published(route.topic.name, route.key_id, route.event_type, event_data, time_us)
        )
        if self.fails_after_ping:
            raise StoreUnavailable("kafka", "produce", "no acknowledgement")

    async def ping(self) -> None:
        if self.down:
            raise StoreUnavailable("kafka", "ping", "down")


@dataclass(slots=True)
class FakeQueue:
    """A queue of `length` renditions."""

    length: int = 0

    async def queued(self) -> int:
        return self.length


@dataclass(slots=True)
class FakeMonitor:
    """A lag monitor that responds with `report`, and with `overview` or one around that report; without a
    report it is down."""

    report: bytes | None = None
    overview: Mapping[str, Any] | None = None
    reads: int = 0

    async def read(self) -> bytes:
        self.reads += 1
        if self.report is None:
            raise ConnectionRefusedError("down")
        return self.report

    async def read_overview(self) -> bytes:
        if self.report is None:
            raise ConnectionRefusedError("down")
        nothing = {
            "history": {"step_s": 10, "at": [], "lanes": []},
            "freshness": None,
            "rebalances": [],
            "dead_letters": None,
            "workers": None,
            "brokers": [],
            "hottest_keys": [],
            "operations": [],
            "sources": [{"source": "kafka", "age_s": 0.5}],
        }
        return orjson.dumps({"lag": orjson.loads(self.report), **nothing, **(self.overview or {})})


@dataclass(slots=True)
class FakeRecords:
    """Logs by topic and partition. If `down`, a read fails, and one of what is `broken`."""

    logs: dict[tuple[str, int], list[StoredRecord]] = field(default_factory=dict)
    down: bool = False
    broken: set[tuple[str, int]] = field(default_factory=set)

    async def read(
        self, topic: str, partition: int, offset: int, *, records_max: int
    ) -> Sequence[StoredRecord]:
        if self.down or (topic, partition) in self.broken:
            raise StoreUnavailable("kafka", "read", "down")
        held = [record for record in self.logs.get((topic, partition), []) if record.offset >= offset]
        return held[:records_max]


async def _nothing() -> None:
    pass


class Switchable:
    """A store that records its calls, each after `before`; if `down`, all its methods fail, else those in
    `failing`."""

    def __init__(self, store: Any, name: str) -> None:
        self._store = store
        self._name = name
        self.down = False
        self.failing: set[str] = set()
        self.calls: list[str] = []
        self.before: Callable[[], Awaitable[None]] = _nothing

    def __getattr__(self, method: str) -> Any:
        inner = getattr(self._store, method)

        async def call(*args: Any, **kwargs: Any) -> Any:
            await self.before()
            self.calls.append(method)
            if self.down or method in self.failing:
                raise StoreUnavailable(self._name, method, "down")
            return await inner(*args, **kwargs)

        return call


_REDIS = {
    *(
        "redis_probe",
        "redis_clock",
        "timelines",
        "page_starts",
        "cache",
        "rebuild_budget",
        "upload_limit",
        "rates",
    ),
    *("removal_marks", "leases", "undelivered"),
}
_S3 = {"s3_probe", "media_objects", "media_uploads"}
RENDITIONS: Mapping[str, StoredRendition] = {
    "thumbnail": StoredRendition(object_key="r/1/thumbnail.jpg", width=150, height=100)
}


def _store_of(switch: str) -> str:
    if switch == "kafka_probe":
        return "kafka"
    return "redis" if switch in _REDIS else "s3" if switch in _S3 else "cassandra"


PATIENT: Mapping[str, object] = {
    # The clock is moved by hours, and nothing reads the revocations meanwhile.
    "revocations_stale_s_max": 10**9,
    "rate_refusal_delay_ms": 0,
    # These are real time, of which a busy machine needs more than a person would wait.
    "request_deadline_ms": 60_000,
    "upload_slow_s_max": 60,
    "upload_idle_s_max": 60,
}


@cache
def media_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65_537, 2_048)


@dataclass(frozen=True, slots=True)
class Page:
    """A page of a feed; `below` is its cursor's position."""

    ids: list[int]
    below: int | None
    completeness: Completeness


@dataclass(slots=True)
class World:
    """The API over stores in memory; `stores` are those of `memory`, each in a `Switchable`.

    Photo ids are small numbers; nothing depends on when they were minted.
    """

    clock: Clock
    publisher: FakePublisher
    queue: FakeQueue
    log_ends: FakeOffsets
    monitor: FakeMonitor
    records: FakeRecords
    letters: MemoryLog
    replays: MemoryReplays
    operations: MemoryOperations
    ops: OpsClients
    switches: dict[str, Switchable]
    memory: Stores
    stores: Stores
    settings: Settings
    services: Services
    _app: FastAPI | None = None

    @property
    def app(self) -> FastAPI:
        """The application, made at its first use, because this takes longer than most tests."""
        if self._app is None:
            self._app = create_app(
                self.services,
                requests=self.settings,
                uploads=self.settings,
                photo_urls=self.settings,
                ops=self.settings,
            )
        return self._app

    def adopt(self, app: FastAPI) -> None:
        """Serve with an application that was made with the same settings."""
        self._app = app
        app.state.services = self.services

    def limit(
        self,
        *,
        buckets_a_page_max: int | None = None,
        pull_lists_max: int | None = None,
        likes_cached_max: int | None = None,
        rebuild_wait_s: float | None = None,
    ) -> None:
        """Lower limits so that a test reaches them. Call it before the first request over HTTP."""
        feed, social = self.services.feed, self.services.social
        if rebuild_wait_s is not None:
            feed = replace(feed, sources=replace(feed.sources, rebuild_wait_s=rebuild_wait_s))
        if buckets_a_page_max is not None:
            social = replace(social, buckets_a_page_max=buckets_a_page_max)
        if pull_lists_max is not None:
            feed = replace(feed, sources=replace(feed.sources, pull_lists_max=pull_lists_max))
        if likes_cached_max is not None:
            feed = replace(feed, reads=replace(feed.reads, likes_cached_max=likes_cached_max))
        self.services = replace(self.services, feed=feed, social=social)

    def fail(self, store: str, down: bool = True) -> None:
        """Make Redis, Cassandra, S3 or Kafka unavailable, or available again."""
        if store == "kafka":
            self.publisher.down = down
        for name, switch in self.switches.items():
            if store == _store_of(name):
                switch.down = down

    def client(self, user: int | None = None, **claims: object) -> httpx.AsyncClient:
        headers = {} if user is None else {"Authorization": f"Bearer {self.token(user, **claims)}"}
        return httpx.AsyncClient(
            transport=httpx.ASGITransport(self.app, raise_app_exceptions=False),
            base_url="http://api.test",
            headers=headers,
        )

    def token(self, user: object, **claims: object) -> str:
        now_s = self.clock.ms // 1_000
        return jwt.encode({"sub": str(user), "exp": now_s + 3_600, **claims}, SECRET, "HS256")

    async def follow(self, follower: int, followee: int, *, removed: bool = False) -> None:
        """Store a follow as the check stage writes it."""
        state = Membership(self.clock.us(), removed)
        self.clock.ms += 1
        await self.stores.outgoing_edges.write(OutgoingEdge.FOLLOWING, UserId(follower), followee, state)
        edges = [(UserId(follower), followee, state)]
        await cache_follows(self.stores.cache, edges, seen_ms=self.clock.ms)

    async def upload(self, photo: int, author: int, *, caption: str = "") -> None:
        """Store a photo that is not ready yet."""
        facts = Photo(
            photo_id=PhotoId(photo),
            author_id=UserId(author),
            created_at=CREATED_AT,
            caption=caption,
            object_key=f"originals/{photo}",
            content_type="image/jpeg",
            renditions={},
        )
        await self.stores.photos.insert([facts])
        await self.stores.author_photos.add([(PhotoId(photo), UserId(author))], ready=False)
        await self.stores.cache.invalidate_reachable(keys_of_photo(photo, author))

    async def post(self, photo: int, author: int, *, followers: tuple[int, ...] = ()) -> None:
        """Store a ready photo and push it to the timelines of `followers` and the author."""
        await self.upload(photo, author)
        await self.stores.photos.mark_ready({PhotoId(photo): RENDITIONS}, {PhotoId(photo): PUSHED})
        await self.stores.author_photos.add([(PhotoId(photo), UserId(author))], ready=True)
        await self.stores.cache.invalidate(keys_of_photo(photo, author))
        owners = PackedIds(pack_ids([*followers, author]))
        await self.stores.timelines.append([PhotosForOwners((PhotoId(photo),), owners)])

    async def delete(self, photo: int, author: int) -> None:
        await self.stores.photos.write_tombstone(PhotoId(photo), UserId(author))
        await hide_photo(self.stores, PhotoId(photo), UserId(author))

    async def page(self, reader: int, limit: int = 20, below: int | None = None) -> Page:
        """A page of the reader's feed, without HTTP around it."""
        query = PageQuery(limit, None if below is None else (below,))
        page, _ = await feed_page(self.services.feed, UserId(reader), query)
        shown = orjson.loads(page)
        cursor = shown["next_cursor"]
        return Page(
            ids=[int(item["photo_id"]) for item in shown["items"]],
            below=None if cursor is None else decode_cursor(CursorKind.FEED, cursor)[0],
            completeness=Completeness(shown["completeness"]),
        )

    async def pull(self, author: int) -> None:
        """Add the author to those whose photos are pulled."""
        await self.stores.pulled_authors.add([UserId(author)])
        await self.services.pulled.refresh()

    async def later(self, seconds: float) -> None:
        """Advance the clock; what the process polls stays fresh."""
        self.clock.ms += int(seconds * 1_000)
        await self.services.pulled.refresh()
        await self.services.delivery.refresh()
        await self.services.follows.refresh()
        await self.services.verifier.revoked.refresh()


async def make_world(**overrides: object) -> World:
    """Make a world in which Redis is verified as complete and the pulled authors are loaded."""
    return await _world(None, NOW_MS, **overrides)


async def make_world_of(stores: Stores, clock_ms: int = NOW_MS, /, **overrides: object) -> World:
    """Make the API over stores of a test's own, at a time."""
    return await _world(stores, clock_ms, **overrides)


async def another_process(world: World, **overrides: object) -> World:
    """Make another API process over the stores of `world`."""
    return await _world(world.memory, NOW_MS, **overrides)


async def _world(memory: Stores | None, clock_ms: int, /, **overrides: object) -> World:
    clock = Clock(clock_ms - 1_000)
    publisher, queue, log_ends, monitor = FakePublisher(), FakeQueue(), FakeOffsets(), FakeMonitor()
    records, letters, replays, operations = FakeRecords(), MemoryLog([]), MemoryReplays(), MemoryOperations()
    parts = {**PATIENT, **overrides}
    settings = Settings(jwt_secret=SECRET, **parts)  # type: ignore[arg-type]  # pydantic checks them.
    memory = memory or memory_stores(
        clock_ms=lambda: clock.ms,
        timeline_slots=settings.timeline_slots,
        rebuilds_per_s_max=settings.rebuilds_per_s_max,
        removed_edge_ttl_s=settings.removed_edge_ttl_s,
        uploads_per_minute=settings.uploads_per_minute,
    )
    switches = {store.name: Switchable(getattr(memory, store.name), store.name) for store in fields(Stores)}
    stores = replace(memory, **switches)  # They implement the same ports.
    switches["kafka_probe"] = Switchable(MemoryStoreProbe(), "kafka")
    runs = _runs(settings, letters, replays, operations, stores.handled_dead_letters, stores.leases)
    ops = _ops_clients(settings, clock, monitor, records, runs)
    services = make_services(
        settings,
        stores,
        publisher,
        queue,
        log_ends,
        lambda: LOCAL,
        kafka_probe=cast(StoreProbe, switches["kafka_probe"]),
        ops=ops,
        # The lease is returned at the end, even if a test has made the store fail.
        ids=PhotoIds(memory.shard_leases, lambda: clock.ms),
        media_keys=MediaKeys(KeyIds("local"), media_key()),
        clocks=Clocks(
            settings,
            {"cassandra": stores.cassandra_clock, "redis": stores.redis_clock},
            clock.us,
            lambda: clock.ms / 1_000,
        ),
        clock_us=clock.us,
        clock_s=lambda: clock.ms / 1_000,
    )
    positions = dict.fromkeys(range(LOCAL.partitions(FANOUT)), 0)
    await stores.timelines.save_all_checkpoints(positions)
    await stores.timelines.confirm(positions)
    await services.pulled.refresh()
    await services.delivery.refresh()
    await services.follows.refresh()
    await services.verifier.revoked.refresh()
    await services.health.clocks.compare()
    await _lease_shard(services.uploads.ids, clock)
    return World(
        clock,
        publisher,
        queue,
        log_ends,
        monitor,
        records,
        letters,
        replays,
        operations,
        ops,
        switches,
        memory,
        stores,
        settings,
        services,
    )


def _ops_clients(
    settings: OpsSettings, clock: Clock, monitor: FakeMonitor, records: FakeRecords, runs: BackgroundRuns
) -> OpsClients:
    def clock_s() -> float:
        return clock.ms / 1_000

    return OpsClients(
        lag=LagReader(monitor.read, clock_s=clock_s),
        overview=LagReader(monitor.read_overview, emptied=overview_without_data, clock_s=clock_s),
        records=records,
        runs=runs,
        streams=EventStreams(settings),
    )


def _runs(
    settings: ReplaySettings,
    letters: MemoryLog,
    replays: MemoryReplays,
    operations: MemoryOperations,
    handled: HandledDeadLetters,
    leases: Leases,
) -> BackgroundRuns:
    return BackgroundRuns(
        topics=lambda: DeadLetterTopics(letters, replays),
        handled=handled,
        operations=operations,
        leases=leases,
        settings=settings,
    )


async def _lease_shard(ids: PhotoIds, clock: Clock) -> None:
    """Mint the first id, which waits until the clock passes the lease's own millisecond."""
    minting = asyncio.create_task(ids.mint())
    await asyncio.sleep(0)
    clock.ms += 1_000
    await minting
