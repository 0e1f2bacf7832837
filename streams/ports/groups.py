"""The ports grouped by purpose, so that a signature says what a function may touch."""

from dataclasses import dataclass

from streams.ports.cache import Copies
from streams.ports.cdn import EdgeCaches
from streams.ports.cleaning import CleaningPlaces, MissingObjects, PhotoWalk
from streams.ports.coordination import ShardLeases, StopStore
from streams.ports.edges import CountedSets, OwnEdges
from streams.ports.media import MediaObjects, MediaUploads
from streams.ports.photos import AuthorPhotos, AuthorStore, ParkedPhotos, PhotoStore, PulledAuthors
from streams.ports.timelines import RebuildBudget, Timelines
from streams.ports.uploads import UploadLimit, UploadStore


@dataclass(frozen=True, slots=True, kw_only=True)
class Stores:
    """Everything that is stored, by what it promises; `connect.py` and `memory.py` make one."""

    photos: PhotoStore
    author_photos: AuthorPhotos
    own_edges: OwnEdges
    counted: CountedSets
    authors: AuthorStore
    pulled: PulledAuthors
    parked: ParkedPhotos
    stops: StopStore
    media: MediaObjects
    media_uploads: MediaUploads
    uploads: UploadStore
    upload_limit: UploadLimit
    photo_walk: PhotoWalk
    missing_objects: MissingObjects
    cleaning_places: CleaningPlaces
    edge_caches: EdgeCaches
    timelines: Timelines
    copies: Copies
    shards: ShardLeases
    rebuild_budget: RebuildBudget
