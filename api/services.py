"""One small service for each group of routes, and how a route gets its own."""

import asyncio
from collections.abc import Callable, Coroutine, Hashable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import Depends
from starlette.requests import Request

from api.auth.admission import Admission, admitted_caller
from api.auth.tokens import OPS_ROLE, Caller, TokenVerifier, authenticate
from api.edge_writer import EdgeWriter
from api.event_streams import EventStreams
from api.follow_writer import FollowWriter
from api.http.metrics import REQUESTS_REFUSED
from api.http.problems import Problem, unavailable
from api.http.rate_limiter import RateLimiter
from api.http.retry_after import RetryQueue
from api.lag_reader import LagReader
from api.photo_ids import PhotoIds
from api.readiness import Readiness
from api.reading.delivery_poller import DeliveryPoller
from api.reading.follow_poller import FollowPoller
from api.reading.media_keys import MediaKeysPoller
from api.reading.present import PhotoRenderer
from api.reading.pulled_authors import PulledAuthorsPoller
from api.reading.reader_log import ReaderLog
from api.reading.skeleton import FeedSources
from schemas.ids import UserId
from streams.core.limits.rates import Rate
from streams.fairness import FairSlots
from streams.jobs.clocks import AGAIN_S, Clocks
from streams.jobs.dead_letters.background import BackgroundRuns
from streams.jobs.dead_letters.counted import OneCount
from streams.jobs.records import RecordLog
from streams.overload.known_posts import KnownDeferredPosts
from streams.ports.cache import Cache
from streams.ports.edges import CountedSets
from streams.ports.groups import PhotoStores
from streams.ports.publishing import EventPublisher
from streams.settings import OpsSettings, OverloadSettings
from streams.stores.cache.cached_reads import CachedReads
from streams.timelines.rebuild import Rebuilder
from streams.uploads.intake import UploadIntake
from streams.uploads.turns import UploadTurns

# Without this bound, a page of a set whose members have nearly all left would read thousands of empty
# buckets. The buckets of other sets are at least a sixteenth full, so with `bucket_members_max` 1,000 this
# many fill a page of 1,000 four times.
BUCKETS_A_PAGE_MAX = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedService:
    """The caller's feed. If a rebuild cannot begin yet, `rebuilds` says when to retry."""

    reads: CachedReads
    sources: FeedSources
    renderer: PhotoRenderer
    rebuilds: RetryQueue
    readers: ReaderLog


@dataclass(frozen=True, slots=True, kw_only=True)
class PhotoService:
    """One photo, an author's photos, and deleting one."""

    reads: CachedReads
    renderer: PhotoRenderer
    stores: PhotoStores
    publisher: EventPublisher
    clock_us: Callable[[], int]
    pull_list_ids_max: int


@dataclass(frozen=True, slots=True, kw_only=True)
class UserService:
    """A user's counts. `last_followees` has recent ones, for when they cannot be read."""

    reads: CachedReads
    last_followees: MutableMapping[UserId, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class LikeService:
    """Likes of photos that the caller can see."""

    reads: CachedReads
    edges: EdgeWriter
    cache: Cache


@dataclass(frozen=True, slots=True, kw_only=True)
class SocialService:
    """Follows of the caller, and the lists of both directions."""

    reads: CachedReads
    follows: FollowWriter
    counted_sets: CountedSets
    buckets_a_page_max: int = BUCKETS_A_PAGE_MAX


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadService:
    """Uploads. `bodies` bounds how many images arrive at once in this process as a request's own body.

    `unstored_bytes` is the rate of the bytes that a user may send although nothing of them is stored.
    """

    intake: UploadIntake
    ids: PhotoIds
    turns: UploadTurns
    bodies: FairSlots
    limiter: RateLimiter
    unstored_bytes: Rate
    bytes_max: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthService:
    """If `ops_open` is true, everybody may read what is for the role `ops`."""

    readiness: Readiness
    clocks: Clocks
    ops_open: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class OpsService:
    """The pages below /ops. `reading` bounds how many records are read at once, `deferred` is as new as what
    `DeliveryPoller` knows. `rendered` has the panels begun in the last second, by what the visitor chose."""

    overview: LagReader
    records: RecordLog
    reading: FairSlots
    runs: BackgroundRuns
    one_count: OneCount
    streams: EventStreams
    deferred: KnownDeferredPosts
    settings: OpsSettings
    overload: OverloadSettings
    verifier: TokenVerifier
    rendered: MutableMapping[Hashable, asyncio.Task[Mapping[str, str]]]
    clock_us: Callable[[], int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """Every service of one process. Only the composition touches it; a route is given its own service.

    `verifier`, `pulled`, `delivery`, `follows`, `rebuilder` and `media_keys` also work between requests;
    `serve` runs and closes them.
    """

    feed: FeedService
    photos: PhotoService
    users: UserService
    likes: LikeService
    social: SocialService
    uploads: UploadService
    health: HealthService
    lag: LagReader
    ops: OpsService
    verifier: TokenVerifier
    admission: Admission
    pulled: PulledAuthorsPoller
    delivery: DeliveryPoller
    follows: FollowPoller
    rebuilder: Rebuilder
    media_keys: MediaKeysPoller

    def loops(self) -> Sequence[Callable[[], Coroutine[Any, Any, None]]]:
        """Return what keeps the services' knowledge fresh; each runs until cancelled."""
        return (
            self.verifier.keys.run,
            self.verifier.revoked.run,
            self.pulled.run,
            self.delivery.run,
            self.follows.run,
            self.feed.readers.run,
            self.media_keys.run,
        )


def _services(request: Request) -> Services:
    services: Services = request.app.state.services
    return services


def feed_service(request: Request) -> FeedService:
    """For the route of the feed, which is not FastAPI's and calls this itself."""
    return _services(request).feed


# The dependencies of FastAPI's routes are coroutine functions, because it runs any other in a thread, which
# costs much more than returning a field.
async def _photo_service(request: Request) -> PhotoService:
    return _services(request).photos


async def _user_service(request: Request) -> UserService:
    return _services(request).users


async def _like_service(request: Request) -> LikeService:
    return _services(request).likes


async def _social_service(request: Request) -> SocialService:
    return _services(request).social


async def _upload_service(request: Request) -> UploadService:
    return _services(request).uploads


async def _health_service(request: Request) -> HealthService:
    return _services(request).health


async def _lag_reader(request: Request) -> LagReader:
    return _services(request).lag


async def _ops_service(request: Request) -> OpsService:
    return _services(request).ops


async def require_operator(request: Request) -> None:
    """Refuse a caller without the role `ops` with 403, unless the settings open what is for it."""
    if not _services(request).health.ops_open:
        _require_role(await caller_of(request))


async def require_operator_still(request: Request) -> None:
    """Refuse as `require_operator` does, by what the token is worth now, and not when the request came."""
    services = _services(request)
    if not services.health.ops_open:
        _require_role(await authenticate(request, services.verifier))


def _require_role(caller: Caller) -> None:
    if OPS_ROLE not in caller.roles:
        raise Problem(HTTPStatus.FORBIDDEN, f"This needs the role {OPS_ROLE}.")


async def caller_of(request: Request) -> Caller:
    """The caller, or 401."""
    # The gate has authenticated the request already, except on the paths without a rate.
    return admitted_caller(request) or await authenticate(request, _services(request).verifier)


async def require_right_clock(request: Request) -> None:
    """Refuse a write with 503 while the clock is wrong: its event would become a dead letter.

    The clocks are compared again within `AGAIN_S`.
    """
    reason = _services(request).health.clocks.refuses_writes()
    if reason:
        REQUESTS_REFUSED.labels("clock").inc()
        raise unavailable(f"Writes are refused, because {reason}; try again.", AGAIN_S)


WithPhotos = Annotated[PhotoService, Depends(_photo_service)]
WithUsers = Annotated[UserService, Depends(_user_service)]
WithLikes = Annotated[LikeService, Depends(_like_service)]
WithSocial = Annotated[SocialService, Depends(_social_service)]
WithUploads = Annotated[UploadService, Depends(_upload_service)]
WithHealth = Annotated[HealthService, Depends(_health_service)]
WithOps = Annotated[OpsService, Depends(_ops_service)]
WithLag = Annotated[LagReader, Depends(_lag_reader)]
ByOperator = Annotated[None, Depends(require_operator)]
ByCaller = Annotated[Caller, Depends(caller_of)]
