"""What every route works with; made once a process."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from time import time_ns
from typing import Annotated, Protocol

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from fastapi import Depends
from prometheus_client import Counter
from starlette.requests import Request

from api.auth.keys import keys_from
from api.auth.tokens import Caller, TokenVerifier, authenticate
from api.http.metrics import COPIES, MEDIA_URLS, REBUILDS
from api.http.retry_after import RetryQueue
from api.photo_ids import PhotoIds
from api.reading.cached_reads import CachedReads
from api.reading.pulled_authors import PulledAuthorsPoller
from api.reading.signed_urls import UrlSigner
from api.reading.skeleton import FeedSources
from schemas.ids import UserId
from streams.errors import StoreUnavailable
from streams.ports.groups import Stores
from streams.ports.publishing import EventPublisher
from streams.settings import Settings
from streams.stores.cache.read_through import DatabaseReads, ReadThrough
from streams.timelines.rebuild import Rebuilder, RebuildOutcome

# Whoever waits for a read of the database longer than this share of a request's time has
# no time left to make a page of it.
READ_WAIT_SHARE = 0.5

Probe = Callable[[], Awaitable[object]]


class RenditionsQueue(Protocol):
    async def queued(self) -> int:
        """How many renditions waited to be made, some seconds ago.

        Raises:
            StoreUnavailable: That is not known.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiContext:
    """One process's means. `probes` ask each store by name whether it answers."""

    settings: Settings
    stores: Stores
    publisher: EventPublisher
    queue: RenditionsQueue
    ids: PhotoIds
    bodies: asyncio.Semaphore
    clock_us: Callable[[], int]
    verifier: TokenVerifier
    signer: UrlSigner
    pulled: PulledAuthorsPoller
    rebuilder: Rebuilder
    rebuilds_again: RetryQueue
    reads: CachedReads
    sources: FeedSources
    probes: Mapping[str, Probe]


def make_context(
    settings: Settings,
    stores: Stores,
    publisher: EventPublisher,
    queue: RenditionsQueue,
    *,
    media_key: RSAPrivateKey,
    clock_us: Callable[[], int] = lambda: time_ns() // 1_000,
) -> ApiContext:
    """Put the parts together.

    Raises:
        ValueError: A setting is not what it must be, such as a secret that is too short.
    """
    wait_s = settings.request_deadline_ms / 1_000 * READ_WAIT_SHARE
    through = ReadThrough(
        stores.cache, DatabaseReads(settings.database_reads_in_flight_max, wait_s), _copies_counter()
    )
    reads = CachedReads.of(stores, settings, through)
    pulled = PulledAuthorsPoller(stores.pulled_authors, settings.pulled_authors_refresh_ms / 1_000)
    # Most rebuilds take less than a second.
    rebuilds_again = RetryQueue(rate_min=settings.rebuilds_in_flight_max, s_max=settings.retry_after_s_max)
    rebuilder = _rebuilder(settings, stores, reads, rebuilds_again)

    async def kafka_answers() -> None:
        await publisher.ping()
        await queue.queued()

    return ApiContext(
        settings=settings,
        stores=stores,
        publisher=publisher,
        queue=queue,
        ids=PhotoIds(stores, lambda: clock_us() // 1_000),
        bodies=asyncio.Semaphore(settings.upload_bodies_in_flight_max),
        clock_us=clock_us,
        verifier=_verifier(settings, clock_us),
        signer=_signer(settings, media_key, clock_us),
        pulled=pulled,
        rebuilder=rebuilder,
        rebuilds_again=rebuilds_again,
        reads=reads,
        sources=FeedSources(settings, stores, reads, pulled, rebuilder, clock_us),
        probes={
            "cassandra": stores.pulled_authors.version,
            "redis": stores.timelines.verified,
            "s3": lambda: stores.media_objects.size("readyz"),
            "kafka": kafka_answers,
        },
    )


def _rebuilder(settings: Settings, stores: Stores, reads: CachedReads, again: RetryQueue) -> Rebuilder:
    async def followees_of(owner: UserId) -> list[UserId]:
        found = await reads.following(owner)
        if found.unknown:
            raise StoreUnavailable("cassandra", "following", "needed for a rebuild")
        return list(found.values[owner])

    def count(outcome: RebuildOutcome) -> None:
        REBUILDS.labels(outcome).inc()
        if outcome is RebuildOutcome.REBUILT:
            again.served()

    return Rebuilder(
        stores=stores,
        followees_of=followees_of,
        timeline_ids=settings.timeline_ids,
        in_flight_max=settings.rebuilds_in_flight_max,
        count=count,
    )


def _verifier(settings: Settings, clock_us: Callable[[], int]) -> TokenVerifier:
    return TokenVerifier(
        keys=keys_from(settings),
        issuer=settings.jwt_issuer,
        audience=settings.jwt_audience,
        leeway_s=settings.jwt_leeway_s,
        life_s_max=settings.jwt_life_s_max,
        clock_us=clock_us,
    )


def _signer(settings: Settings, media_key: RSAPrivateKey, clock_us: Callable[[], int]) -> UrlSigner:
    return UrlSigner(
        media_url=settings.media_url.rstrip("/"),
        key_id=settings.media_key_id,
        private_key=media_key,
        life_s_min=settings.media_url_life_s_min,
        life_s_max=settings.media_url_life_s_max,
        clock_us=clock_us,
        count=_count_urls,
    )


def _copies_counter() -> Callable[[str, int, int], None]:
    # Looking a counter up by its labels costs more than counting.
    counters: dict[str, tuple[Counter, Counter]] = {}

    def count(kind: str, hits: int, misses: int) -> None:
        if kind not in counters:
            counters[kind] = (COPIES.labels(kind, "hit"), COPIES.labels(kind, "miss"))
        hit, miss = counters[kind]
        hit.inc(hits)
        miss.inc(misses)

    return count


def _count_urls(kept: int, signed: int) -> None:
    MEDIA_URLS.labels("kept").inc(kept)
    MEDIA_URLS.labels("signed").inc(signed)


def context_of(request: Request) -> ApiContext:
    """The context of the app that serves the request."""
    context: ApiContext = request.app.state.context
    return context


async def caller_of(request: Request) -> Caller:
    """The caller, or 401."""
    return await authenticate(request, context_of(request).verifier)


InContext = Annotated[ApiContext, Depends(context_of)]
ByCaller = Annotated[Caller, Depends(caller_of)]
