"""The ports grouped by purpose, so that a signature says which stores a function may use.

A function takes the smallest group that has what it needs, or single ports where it needs one or
two. `Stores` is all groups at once; only entry points and test worlds hold it.
"""

from dataclasses import dataclass

from streams.ports.cache import Cache
from streams.ports.cdn import Cdn
from streams.ports.cleaning import CleaningPositions, MissingObjects, PhotoScan
from streams.ports.coordination import (
    HandledDeadLetters,
    ShardLeases,
    StoppedPartitions,
    StuckPartitions,
    Switches,
    WorkerReports,
)
from streams.ports.edges import CountedSets, OutgoingEdges, RemovalMarks, UserScan
from streams.ports.health import StoreClock, StoreProbe
from streams.ports.leases import Leases
from streams.ports.media import MediaObjects, MediaUploads
from streams.ports.photos import (
    AuthorPhotos,
    Authors,
    DeferredPosts,
    ParkedPhotos,
    Photos,
    PulledAuthors,
    UndeliveredPhotos,
)
from streams.ports.rates import SharedRates
from streams.ports.revocations import Revocations
from streams.ports.timelines import ActiveReaders, PageStarts, RebuildBudget, Timelines
from streams.ports.uploads import UploadLimit, Uploads

# The groups have no slots, because Python does not allow several bases with slots in one class.


@dataclass(frozen=True, kw_only=True)
class PhotoStores:
    """A photo from its event until it is delivered, rejected or deleted."""

    photos: Photos
    author_photos: AuthorPhotos
    authors: Authors
    pulled_authors: PulledAuthors
    undelivered: UndeliveredPhotos
    deferred: DeferredPosts
    parked: ParkedPhotos
    counted_sets: CountedSets
    media_objects: MediaObjects
    cache: Cache


@dataclass(frozen=True, kw_only=True)
class EdgeStores:
    """Follows and likes: outgoing and incoming edges, and the cache, for invalidation."""

    outgoing_edges: OutgoingEdges
    removal_marks: RemovalMarks
    counted_sets: CountedSets
    cache: Cache


@dataclass(frozen=True, kw_only=True)
class TimelineStores:
    """Stored timelines, and the stores that a rebuild reads."""

    timelines: Timelines
    rebuild_budget: RebuildBudget
    author_photos: AuthorPhotos
    counted_sets: CountedSets
    cache: Cache


@dataclass(frozen=True, kw_only=True)
class AuditStores(PhotoStores, EdgeStores, TimelineStores):
    """The audit, which compares what is stored twice."""

    user_scan: UserScan


@dataclass(frozen=True, kw_only=True)
class UploadStores(PhotoStores):
    """An upload over HTTP from its first byte until its photo is in the pipeline."""

    uploads: Uploads
    upload_limit: UploadLimit
    media_uploads: MediaUploads


@dataclass(frozen=True, kw_only=True)
class CleaningStores(UploadStores):
    """The cleaning, which compares the media bucket with the rows."""

    photo_scan: PhotoScan
    missing_objects: MissingObjects
    cleaning_positions: CleaningPositions
    cdn: Cdn


@dataclass(frozen=True, kw_only=True)
class CoordinationStores:
    """What processes agree on: stopped partitions, handled dead letters, switches, shards for minting ids.

    And what workers say of themselves.
    """

    stopped_partitions: StoppedPartitions
    stuck_partitions: StuckPartitions
    handled_dead_letters: HandledDeadLetters
    switches: Switches
    worker_reports: WorkerReports
    shard_leases: ShardLeases


@dataclass(frozen=True, kw_only=True)
class HealthStores:
    """One probe of each server, for `/readyz`, and the clocks of those that have one."""

    cassandra_probe: StoreProbe
    redis_probe: StoreProbe
    s3_probe: StoreProbe
    cassandra_clock: StoreClock
    redis_clock: StoreClock


@dataclass(frozen=True, kw_only=True)
class ApiStores(UploadStores, EdgeStores, TimelineStores, HealthStores):
    """The stores from which the services of the API are made. `rates` and `leases` limit their callers."""

    page_starts: PageStarts
    active_readers: ActiveReaders
    rates: SharedRates
    leases: Leases
    revocations: Revocations


@dataclass(frozen=True, kw_only=True)
class Stores(CleaningStores, ApiStores, AuditStores, CoordinationStores):
    """Every store of a process; made by `stores/connect.py` or `stores/memory/stores.py`."""
