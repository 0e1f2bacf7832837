"""What the handlers and the API ask of the stores, kept by the real store and its in-memory twin alike.

Every method raises `StoreUnavailable` when nothing is known about what it asked for;
every one may be repeated. Times are microseconds since 1970 (`time_us`) unless the
name says otherwise.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import NewType, Protocol

from schemas.ids import PhotoId, UserId
from streams.core.counted import Membership
from streams.core.delivery import Delivery, Mode
from streams.stores.cleaning_ports import CleaningPlaces, MissingObjects, PhotoWalk
from streams.stores.edge_ports import EdgeCaches
from streams.stores.media_ports import MediaObjects, MediaUploads, UploadLimit, UploadStore

# Packed ids: 8 bytes each, big-endian.
PackedIds = NewType("PackedIds", bytes)


class Status(StrEnum):
    PROCESSING = "processing"
    READY = "ready"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRendition:
    object_key: str
    width: int
    height: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Photo:
    """A photo's row. `reason` is None unless rejected; `renditions` by name."""

    photo_id: PhotoId
    author_id: UserId
    created_at: datetime
    caption: str
    object_key: str
    content_type: str
    status: Status = Status.PROCESSING
    reason: str | None = None
    renditions: Mapping[str, StoredRendition]
    deleted: bool = False


class PhotoStore(Protocol):
    """Photos and tombstones; one row a photo."""

    async def insert(self, photo: Photo) -> UserId:
        """Write the photo's facts if its id is new; answers whose the id is, the given author or another."""

    async def get(self, photos: Sequence[PhotoId]) -> dict[PhotoId, Photo]:
        """The rows that exist, deleted ones included; at most 1,000 ids, one call a hundred."""

    async def mark_ready(self, photo: PhotoId, renditions: Mapping[str, StoredRendition]) -> None:
        """Make the photo ready and add `renditions` to those that it has; of one name the last counts."""

    async def add_renditions(self, photo: PhotoId, renditions: Mapping[str, StoredRendition]) -> None:
        """Add renditions to those that the photo has, whatever its status."""

    async def forget_renditions(self, photo: PhotoId, names: Collection[str]) -> None:
        """Take renditions out of the row, which are not in the bucket any more."""

    async def mark_rejected(self, photo: PhotoId, reason: str) -> None:
        """Reject the photo for good: whatever comes earlier or later, it is not ready."""

    async def record_delivery(self, photo: PhotoId, delivery: Delivery) -> None: ...

    async def bury(self, photo: PhotoId, author: UserId) -> None:
        """Remember for ever that `author` deleted `photo`, also when there is no such photo yet."""

    async def is_buried(self, photo: PhotoId, author: UserId) -> bool: ...

    async def erase(self, photo: PhotoId) -> None:
        """Mark the row deleted and forget its caption. For ever."""


@dataclass(frozen=True, slots=True)
class AuthorPhoto:
    photo_id: PhotoId
    ready: bool


class AuthorPhotos(Protocol):
    """Each author's photos by id, descending. What is removed stays so, whatever the order of calls."""

    async def add(self, author: UserId, photo: PhotoId, *, ready: bool) -> None:
        """Twice is once; ready stays ready unless it is rejected."""

    async def reject(self, author: UserId, photo: PhotoId) -> None:
        """A photo that was added is listed as not ready, for good."""

    async def remove(self, author: UserId, photo: PhotoId) -> None: ...

    async def newest(
        self, authors: Sequence[UserId], *, below: int, each_max: int
    ) -> dict[UserId, list[AuthorPhoto]]:
        """For each author up to `each_max` photos with ids below `below`, newest first.

        Fewer than `each_max` means that there are no more. One call for every 64 authors.
        """


class OwnEdge(StrEnum):
    """An edge seen from the member's side."""

    FOLLOWING = "following"
    LIKES = "likes"


@dataclass(frozen=True, slots=True)
class Followee:
    """`seen_ms`: when this system learned of it, milliseconds since 1970."""

    followee_id: UserId
    seen_ms: int


@dataclass(frozen=True, slots=True)
class EraLikes:
    """The newest photos of one era that a user likes, descending: all of those above `floor`."""

    photos: Sequence[PhotoId]
    floor: int


class OwnEdges(Protocol):
    """The member's own side of follows and likes. The later time wins; at equal times removed wins."""

    async def write(self, kind: OwnEdge, member: UserId, owner: int, state: Membership) -> None: ...

    async def write_all(self, kind: OwnEdge, edges: Sequence[tuple[UserId, int, Membership]]) -> None:
        """Write many (member, owner, state); on failure each may or may not be written."""

    async def state(self, kind: OwnEdge, member: UserId, owner: int) -> Membership | None: ...

    async def following(self, follower: UserId) -> list[Followee]:
        """Everybody whom the user follows now, by id, ascending; removed ones left out."""

    async def liked(self, user: UserId, photos: Sequence[PhotoId]) -> set[PhotoId]:
        """Which of `photos` (at most 100) the user likes; one call."""

    async def newest_likes(self, user: UserId, era: int, count: int) -> EraLikes:
        """What the user likes among the photos of one era (`core/eras.py`); reads at most `count` rows."""


class SetKind(StrEnum):
    """The counted sets: who follows an author, who likes a photo, which photos of an author are ready."""

    FOLLOWERS = "followers"
    LIKERS = "likers"
    READY_PHOTOS = "ready_photos"


@dataclass(frozen=True, slots=True)
class Head:
    """A set's level and exact total; an unknown set is level 0 and total 0.

    `stamp` is the total's, as read; a write has its own.
    """

    level: int = 0
    total: int = 0
    stamp: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class BucketKey:
    kind: SetKind
    owner: int
    level: int
    bucket: int


@dataclass(frozen=True, slots=True)
class BucketState:
    """A bucket's count, and of its rows at least those asked for; where `is_whole`, all."""

    rows: Mapping[int, Membership]
    live: int
    is_whole: bool


@dataclass(frozen=True, slots=True)
class BucketWrite:
    """Rows and count of one bucket, applied whole. `stamp` orders the counts of one bucket.

    `head` goes in the same write and only to bucket 0 of level 0, and is ordered by `stamp`, too;
    at equal stamps the greater level and the greater total win. Rows carry their own times.
    `page` are the members of a bucket of followers, packed in ascending order, from `PAGE_LEVEL_MIN`
    on; it goes with the count.
    """

    key: BucketKey
    rows: Mapping[int, Membership]
    live: int | None
    head: Head | None
    stamp: int
    page: PackedIds | None = None


class CountedSets(Protocol):
    """The other side of edges; `handlers/edges_batch.py` is the only writer of a set."""

    async def heads(self, kind: SetKind, owners: Sequence[int]) -> dict[int, Head]:
        """Level and total of every owner asked for; one call for every 100."""

    async def read(
        self, wanted: Mapping[BucketKey, Collection[int]], *, totals: Mapping[BucketKey, int]
    ) -> dict[BucketKey, BucketState]:
        """Each bucket's count and the rows of the members named, and maybe others.

        `totals` are how many members buckets are known to have; they only make it quicker.
        """

    async def write(self, writes: Sequence[BucketWrite]) -> None:
        """Apply each write whole or not at all. A count with an older stamp than the stored one loses,
        a row with an older time too."""

    async def bucket(self, key: BucketKey) -> dict[int, Membership]:
        """All rows of one bucket, removed ones included."""

    async def lives(self, kind: SetKind, owner: int, level: int) -> dict[int, int]:
        """The counts of the buckets that have any, by bucket."""

    async def members(self, keys: Sequence[BucketKey]) -> dict[BucketKey, PackedIds]:
        """Each bucket's members that are in, packed, in ascending order: its page, else its rows."""

    async def page(self, key: BucketKey, *, after: int, limit: int) -> list[int]:
        """Up to `limit` members of one bucket that are in, ascending, with ids above `after`."""


class AuthorStore(Protocol):
    async def mode_by_size(self, author: UserId) -> Mode:
        """The last mode that the author's size asked for; push for one never seen."""

    async def remember_mode(self, author: UserId, mode: Mode) -> None: ...


class PulledAuthors(Protocol):
    """Authors whose newest photos readers must merge."""

    async def add(self, author: UserId) -> None: ...

    async def mark(self) -> str:
        """Changes with every author that is new; costs one cell."""

    async def all(self) -> frozenset[UserId]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ParkedPhoto:
    photo_id: PhotoId
    author_id: UserId
    object_key: str
    parked_ms: int
    due_ms: int


class ParkedPhotos(Protocol):
    """Photos whose original has not arrived yet, by when to look again."""

    async def park(self, photo: ParkedPhoto) -> None: ...

    async def due(self, now_ms: int, limit: int) -> list[ParkedPhoto]: ...

    async def unpark(self, photo: ParkedPhoto) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """A partition that stands still at `position` until its group is resumed."""

    group: str
    topic: str
    partition: int
    position: int
    reason: str
    since_ms: int


class StopStore(Protocol):
    async def stop(self, stop: Stop) -> None: ...

    async def stops(self, group: str) -> list[Stop]: ...

    async def resume(self, group: str) -> int:
        """Forget the group's stops; answers how many there were."""


class Timelines(Protocol):
    """The stored timelines (rings) of those who read; only `fanout` and rebuilds write them."""

    async def append(self, photo: PhotoId, owners: PackedIds) -> int:
        """Append a fresh photo where a timeline exists; answers how many there were."""

    async def merge(self, owners: Sequence[UserId], photos: Sequence[PhotoId]) -> int:
        """Merge late photos by id into those timelines that exist; answers how many there were."""

    async def existing(self, owners: PackedIds) -> PackedIds:
        """Those of `owners`, at most 1,000, who have a timeline."""

    async def read(self, owner: UserId) -> bytes | None:
        """The ring's bytes (`core.ring.parse`), and renews its life; None when there is none."""

    async def begin_rebuild(self, owner: UserId, token: bytes) -> bool:
        """Create the owner's empty timeline under `token`; False when there is a timeline already."""

    async def finish_rebuild(self, owner: UserId, token: bytes, found: Sequence[PhotoId], floor: int) -> bool:
        """Merge what the database holds and clear the token; False when the token is another's or gone."""

    async def forget(self, owner: UserId) -> None: ...

    async def forget_all(self) -> int: ...

    async def notes(self, partitions: Sequence[int]) -> dict[int, int]:
        """For each partition of `fanout` the next offset to apply, where it is known."""

    async def note(self, partition: int, position: int, *, expected: int | None) -> bool:
        """Note that every record below `position` has been applied, if the note still is `expected`.

        False means that this is not the store that was noted in last: it was lost or came
        back older, and records between must be applied again. None: there is no note.
        """

    async def note_all(self, positions: Mapping[int, int]) -> bool:
        """Note all partitions at once if none is noted; the first thing done to a new or flushed store."""

    async def verified(self) -> bool:
        """Whether every partition's worker has found this store to be as new as its commits."""

    async def confirm(self, expected: Mapping[int, int]) -> set[int]:
        """Mark the partitions whose note is as expected as verified; answers the others."""


class RebuildBudget(Protocol):
    async def take(self) -> bool:
        """Whether one more rebuild may begin now, counted over all processes."""


class Copies(Protocol):
    """Short-lived copies of what the database holds, never trusted after a write.

    A copy is filled only under a lease that any write removes: read, then a write
    elsewhere, then the fill would otherwise bring the old value back.
    """

    async def get(self, keys: Sequence[bytes]) -> list[bytes | None]: ...

    async def lease(self, keys: Sequence[bytes]) -> bytes:
        """Take the right to fill those of `keys` that nobody has; answers the token."""

    async def fill(self, token: bytes, values: Mapping[bytes, bytes], ttl_s: int) -> None:
        """Store the values whose lease still stands."""

    async def drop(self, keys: Sequence[bytes]) -> None:
        """Remove copies and leases; after it returns no older value can be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardLease:
    """A shard that this process alone mints with; start strictly after `last_ms`."""

    shard: int
    last_ms: int


class ShardLeases(Protocol):
    async def acquire(self, holder: str, now_ms: int) -> ShardLease:
        """Lease a shard of this system that nobody holds; LookupError when all are held."""

    async def reserve(self, holder: str, shard: int, until_ms: int, now_ms: int) -> None:
        """Note that ids up to `until_ms` may be issued, and renew; PermissionError if it is another's."""

    async def release(self, holder: str, shard: int) -> None: ...


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
