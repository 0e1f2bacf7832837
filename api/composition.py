"""The composition of one API process: every service, made once."""

from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic, time_ns

from cachetools import TTLCache
from prometheus_client import Counter

from api.auth.admission import Admission
from api.auth.jwks import keys_from
from api.auth.revoked import RevokedPoller
from api.auth.tokens import TokenVerifier
from api.edge_writer import EdgeWriter
from api.event_streams import SHARES, EventStreams
from api.follow_writer import FollowWriter
from api.http.metrics import CACHE_LOOKUPS, MEDIA_URLS, REBUILDS
from api.http.rate_limiter import RateLimiter
from api.http.retry_after import RetryQueue
from api.lag_reader import LagReader
from api.photo_ids import PhotoIds
from api.readiness import Probe, Readiness
from api.reading.delivery_poller import DeliveryPoller
from api.reading.follow_poller import FollowPoller
from api.reading.hot_lists import HotLists
from api.reading.media_keys import MediaKeys, MediaKeysPoller
from api.reading.present import PhotoRenderer
from api.reading.pulled_authors import PulledAuthorsPoller
from api.reading.reader_log import ReaderLog
from api.reading.signed_urls import UrlSigner
from api.reading.skeleton import FeedSources
from api.services import (
    FeedService,
    HealthService,
    LikeService,
    OpsService,
    PhotoService,
    Services,
    SocialService,
    UploadService,
    UserService,
)
from streams.core.limits.follow_limit import FollowLimit
from streams.core.limits.rates import Rate
from streams.fairness import FairSlots, Shares
from streams.jobs.clocks import Clocks
from streams.jobs.dead_letters.background import BackgroundRuns
from streams.jobs.dead_letters.counted import OneCount
from streams.jobs.records import RecordLog
from streams.kafka.offsets.applied import Walk, stages_of
from streams.kafka.offsets.queued import BrokerOffsets
from streams.overload.known_posts import KnownDeferredPosts
from streams.ports.edges import OutgoingEdges
from streams.ports.groups import (
    ApiStores,
    EdgeStores,
    HealthStores,
    PhotoStores,
    TimelineStores,
    UploadStores,
)
from streams.ports.health import StoreProbe
from streams.ports.leases import Leases
from streams.ports.publishing import EventPublisher
from streams.ports.revocations import Revocations
from streams.ports.timelines import Timelines
from streams.settings import (
    ApiProcessSettings,
    CacheSettings,
    FeedSettings,
    FollowSettings,
    OpsSettings,
    OverloadSettings,
    PhotoUrlSettings,
    ShareSettings,
    TimelineSettings,
    TokenSettings,
    UploadSettings,
)
from streams.stores.cache.cached_reads import CachedReads
from streams.stores.cache.database_reads import DatabaseReads
from streams.stores.cache.large_reads import LargeReads, OneAtATime
from streams.stores.cache.read_through import ReadThrough
from streams.timelines.rebuild import Rebuilder, RebuildOutcome
from streams.timelines.rebuild_reads import followees_of, newest_photos_of
from streams.uploads.admission import RenditionsQueue
from streams.uploads.intake import UploadIntake
from streams.uploads.turns import UploadTurns
from topics.catalogue import FANOUT, FOLLOWS, Lane
from topics.sizes import Sizes

# A read of the database waits for a free slot for at most this share of a request's time. After
# a longer wait too little time would be left to make a page from the result.
READ_WAIT_SHARE = 0.5

# While a user's followees cannot be counted, because there are many or they change all the time, others see
# a count of up to this age.
LAST_FOLLOWEES_S = 60.0
LAST_FOLLOWEES_MAX = 10_000

# The panels of /ops, by filter, for all streams and visitors of a second. With 600 partitions of a varied
# history they take 18 ms of a core to render, so that is done in a thread.
RENDERED_S = 1.0
RENDERED_MAX = 32

# A rebuild may take this share of a request's time; the page itself needs the rest.
REBUILD_WAIT_SHARE = 0.5

# Looking up a counter by its labels costs more than counting.
_URLS_KEPT, _URLS_SIGNED = MEDIA_URLS.labels("kept"), MEDIA_URLS.labels("signed")


@dataclass(frozen=True, slots=True, kw_only=True)
class OpsClients:
    """What the pages below /ops ask, and the streams of the process."""

    lag: LagReader
    overview: LagReader
    records: RecordLog
    runs: BackgroundRuns
    streams: EventStreams


def make_services(
    settings: ApiProcessSettings,
    stores: ApiStores,
    publisher: EventPublisher,
    queue: RenditionsQueue,
    offsets: BrokerOffsets,
    sizes: Callable[[], Sizes],
    *,
    kafka_probe: StoreProbe,
    ops: OpsClients,
    ids: PhotoIds,
    media_keys: MediaKeys,
    clocks: Clocks,
    clock_us: Callable[[], int] = lambda: time_ns() // 1_000,
    clock_s: Callable[[], float] = monotonic,
) -> Services:
    """Make every service from the settings and the stores. `sizes` may raise StoreUnavailable.

    Raises:
        ValueError: A setting is invalid, such as a secret that is too short.
    """
    reads = _reads(settings, settings.request_deadline_ms, stores, stores.outgoing_edges)
    pulled = PulledAuthorsPoller(stores.pulled_authors, settings.pulled_authors_refresh_ms / 1_000, clock_s)
    delivery = _delivery(settings, settings.namespace, offsets, stores, sizes, clock_us, clock_s)
    follows = _follow_poller(offsets, stores.timelines, settings.namespace, sizes, clocks, clock_us)
    rebuilds = _rebuilds(settings.rebuilds_in_flight_max, settings.retry_after_s_max)
    rebuilder = _rebuilder(settings, stores, reads, settings.pull_list_ids_max, rebuilds)
    readers = ReaderLog(stores.active_readers, clock_us)
    sources = FeedSources(
        settings=settings,
        reads=reads,
        timelines=stores.timelines,
        page_starts=stores.page_starts,
        author_photos=stores.author_photos,
        pulled=pulled,
        delivery=delivery,
        follows=follows,
        hot_lists=HotLists(clock_s),
        rebuilder=rebuilder,
        rebuild_wait_s=settings.request_deadline_ms / 1_000 * REBUILD_WAIT_SHARE,
        clock_us=clock_us,
        clock_s=clock_s,
    )
    signer = _signer(settings, media_keys, clock_us)
    renderer = PhotoRenderer(signer)
    verifier = _verifier(settings, stores.revocations, clock_us, clock_s)
    edges = EdgeWriter(stores.outgoing_edges, stores.removal_marks, publisher, clock_us)
    limiter = RateLimiter(stores.rates, buckets_max=settings.rate_buckets_max, clock_s=clock_s)
    return Services(
        feed=FeedService(reads=reads, sources=sources, renderer=renderer, rebuilds=rebuilds, readers=readers),
        photos=_photos(settings, reads, renderer, stores, publisher, clock_us),
        users=_users(reads, clock_s),
        likes=LikeService(reads=reads, edges=edges, cache=stores.cache),
        social=SocialService(
            reads=reads,
            follows=_follows(settings, settings.request_deadline_ms, stores, edges, reads, clock_s),
            counted_sets=stores.counted_sets,
        ),
        uploads=_uploads(settings, stores, stores.leases, publisher, queue, ids, limiter, clock_us),
        health=_health(settings, _probes(stores, publisher, kafka_probe, queue), verifier, clocks, clock_s),
        lag=ops.lag,
        ops=_ops(settings, settings, ops, delivery.deferred, verifier, clock_us, clock_s),
        verifier=verifier,
        admission=Admission(settings, verifier, limiter),
        pulled=pulled,
        delivery=delivery,
        follows=follows,
        rebuilder=rebuilder,
        media_keys=MediaKeysPoller(settings, media_keys.ids, signer.use),
    )


def _delivery(
    settings: FeedSettings,
    namespace: str,
    offsets: BrokerOffsets,
    stores: ApiStores,
    sizes: Callable[[], Sizes],
    clock_us: Callable[[], int],
    clock_s: Callable[[], float],
) -> DeliveryPoller:
    return DeliveryPoller(
        offsets,
        stores.timelines,
        stores.undelivered,
        stores.cache,
        KnownDeferredPosts(stores.deferred, settings.deferred_posts_max, lambda: clock_us() // 1_000),
        FANOUT.named(namespace),
        lambda: sizes().range_of(FANOUT, Lane.NORMAL),
        clock_s,
    )


def _follow_poller(
    offsets: BrokerOffsets,
    timelines: Timelines,
    namespace: str,
    sizes: Callable[[], Sizes],
    clocks: Clocks,
    clock_us: Callable[[], int],
) -> FollowPoller:
    def walk() -> Walk:
        return Walk(offsets, timelines, stages_of(namespace, sizes(), [FOLLOWS]))

    return FollowPoller(walk, lambda: clock_us() // 1_000, lambda: not clocks.refuses_writes())


def _rebuilds(in_flight_max: int, retry_after_s_max: int) -> RetryQueue:
    # Most rebuilds take less than a second, so at least `in_flight_max` end each second.
    return RetryQueue(rate_min=in_flight_max, s_max=retry_after_s_max)


def shares_of(settings: ShareSettings) -> Shares:
    """Return the shares that a user and an address have of every shared bound."""
    return Shares(settings.user_share, settings.address_share)


def _ops(
    settings: OpsSettings,
    overload: OverloadSettings,
    clients: OpsClients,
    deferred: KnownDeferredPosts,
    verifier: TokenVerifier,
    clock_us: Callable[[], int],
    clock_s: Callable[[], float],
) -> OpsService:
    return OpsService(
        overview=clients.overview,
        records=clients.records,
        reading=FairSlots(settings.ops_records_read_at_once, SHARES),
        runs=clients.runs,
        one_count=OneCount(),
        streams=clients.streams,
        deferred=deferred,
        settings=settings,
        overload=overload,
        verifier=verifier,
        rendered=TTLCache(RENDERED_MAX, RENDERED_S, clock_s),
        clock_us=clock_us,
    )


def _reads(
    settings: CacheSettings, request_deadline_ms: int, stores: PhotoStores, outgoing_edges: OutgoingEdges
) -> CachedReads:
    wait_s = request_deadline_ms / 1_000 * READ_WAIT_SHARE
    database = DatabaseReads(settings.database_reads_in_flight_max, wait_s, shares_of(settings))
    return CachedReads.of(
        ReadThrough(stores.cache, database, _cache_counter(), LargeReads(wait_s)),
        settings,
        outgoing_edges=outgoing_edges,
        photos=stores.photos,
        author_photos=stores.author_photos,
        counted_sets=stores.counted_sets,
    )


def _rebuilder(
    settings: TimelineSettings,
    stores: TimelineStores,
    reads: CachedReads,
    pull_list_ids_max: int,
    rebuilds: RetryQueue,
) -> Rebuilder:
    return Rebuilder(
        stores=stores,
        followees_of=followees_of(reads),
        timeline_ids=settings.timeline_ids,
        in_flight_max=settings.rebuilds_in_flight_max,
        count=_rebuild_counter(rebuilds),
        known_of=newest_photos_of(reads, pull_list_ids_max),
    )


def _photos(
    settings: CacheSettings,
    reads: CachedReads,
    renderer: PhotoRenderer,
    stores: PhotoStores,
    publisher: EventPublisher,
    clock_us: Callable[[], int],
) -> PhotoService:
    return PhotoService(
        reads=reads,
        renderer=renderer,
        stores=stores,
        publisher=publisher,
        clock_us=clock_us,
        pull_list_ids_max=settings.pull_list_ids_max,
    )


def _users(reads: CachedReads, clock_s: Callable[[], float]) -> UserService:
    return UserService(reads=reads, last_followees=TTLCache(LAST_FOLLOWEES_MAX, LAST_FOLLOWEES_S, clock_s))


def _follows(
    settings: FollowSettings,
    request_deadline_ms: int,
    stores: EdgeStores,
    edges: EdgeWriter,
    reads: CachedReads,
    clock_s: Callable[[], float],
) -> FollowWriter:
    return FollowWriter(
        edges=edges,
        reads=reads,
        cache=stores.cache,
        limit=FollowLimit(
            followees_max=settings.following_max,
            removed_rows_max=settings.removed_follows_max,
            verified_followees=settings.following_verified,
        ),
        turns=OneAtATime(request_deadline_ms / 1_000 * READ_WAIT_SHARE),
        clock_s=clock_s,
    )


def _uploads(
    settings: UploadSettings,
    stores: UploadStores,
    leases: Leases,
    publisher: EventPublisher,
    queue: RenditionsQueue,
    ids: PhotoIds,
    limiter: RateLimiter,
    clock_us: Callable[[], int],
) -> UploadService:
    bytes_per_minute = settings.uploads_per_minute * settings.upload_bytes_max
    return UploadService(
        intake=UploadIntake.of(settings, stores, publisher, queue, mint=ids.mint, clock_us=clock_us),
        ids=ids,
        turns=UploadTurns(
            leases=leases,
            lease_ms=settings.upload_lease_ms,
            images_of_user_max=settings.upload_bodies_of_user_max,
        ),
        limiter=limiter,
        unstored_bytes=Rate(per_s=bytes_per_minute / 60, burst=bytes_per_minute),
        bodies=FairSlots(
            settings.upload_bodies_in_flight_max,
            shares_of(settings),
            user_max=settings.upload_bodies_of_user_max,
        ),
        bytes_max=settings.upload_bytes_max,
    )


def _probes(
    stores: HealthStores, publisher: EventPublisher, kafka_probe: StoreProbe, queue: RenditionsQueue
) -> dict[str, Probe]:
    async def ask_kafka() -> None:
        await publisher.ping()
        await kafka_probe.check()
        await queue.queued()

    return {
        "cassandra": stores.cassandra_probe.check,
        "redis": stores.redis_probe.check,
        "s3": stores.s3_probe.check,
        "kafka": ask_kafka,
    }


def _health(
    settings: TokenSettings,
    probes: dict[str, Probe],
    verifier: TokenVerifier,
    clocks: Clocks,
    clock_s: Callable[[], float],
) -> HealthService:
    # Without them, every request with a token is 503.
    tokens: dict[str, Probe] = {"jwks": verifier.keys.check, "revocations": verifier.revoked.check}
    return HealthService(
        readiness=Readiness({**probes, **tokens}, clock_s=clock_s),
        clocks=clocks,
        ops_open=settings.ops_open,
    )


def _rebuild_counter(rebuilds: RetryQueue) -> Callable[[RebuildOutcome], None]:
    def count(outcome: RebuildOutcome) -> None:
        REBUILDS.labels(outcome).inc()
        if outcome is RebuildOutcome.REBUILT:
            rebuilds.served()

    return count


def _verifier(
    settings: TokenSettings,
    revocations: Revocations,
    clock_us: Callable[[], int],
    clock_s: Callable[[], float],
) -> TokenVerifier:
    return TokenVerifier(
        keys=keys_from(settings, clock_s=clock_s),
        revoked=RevokedPoller(
            store=revocations,
            refresh_s=settings.revocations_refresh_ms / 1_000,
            stale_s_max=settings.revocations_stale_s_max,
            clock_s=clock_s,
        ),
        issuer=settings.jwt_issuer,
        audience=settings.jwt_audience,
        leeway_s=settings.jwt_leeway_s,
        life_s_max=settings.jwt_life_s_max,
        clock_us=clock_us,
    )


def _signer(settings: PhotoUrlSettings, media_keys: MediaKeys, clock_us: Callable[[], int]) -> UrlSigner:
    return UrlSigner(
        media_url=settings.media_url.rstrip("/"),
        keys=media_keys,
        life_s_min=settings.media_url_life_s_min,
        life_s_max=settings.media_url_life_s_max,
        clock_us=clock_us,
        count=_count_urls,
    )


def _cache_counter() -> Callable[[str, int, int], None]:
    # Looking up a counter by its labels costs more than counting, so each one is looked up once.
    counters: dict[str, tuple[Counter, Counter]] = {}

    def count(kind: str, hits: int, misses: int) -> None:
        if kind not in counters:
            counters[kind] = (CACHE_LOOKUPS.labels(kind, "hit"), CACHE_LOOKUPS.labels(kind, "miss"))
        for counter, number in zip(counters[kind], (hits, misses), strict=True):
            if number:
                counter.inc(number)

    return count


def _count_urls(reused: int, signed: int) -> None:
    _URLS_KEPT.inc(reused)
    if signed:
        _URLS_SIGNED.inc(signed)
