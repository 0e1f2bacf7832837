"""Ports of follow and like edges: outgoing edges, and the counted sets of incoming edges.

Implemented by the real store and by its in-memory twin. Every method raises
`StoreUnavailable` when nothing is known about what it was asked for; every method may be
repeated.
"""

from collections.abc import Collection, Mapping, Sequence
from enum import StrEnum
from typing import Protocol

from schemas.ids import PackedIds, PhotoId, UserId
from schemas.internal import SetKind
from streams.core.counted import Membership
from streams.core.edges import EraLikes, Following, FollowingCounts, FollowingRows, OutgoingEdge
from streams.core.sets import BucketKey, BucketState, BucketWrite, SetSummary, StoredPage


class ScannedUsers(StrEnum):
    """Which users a scan is of."""

    FOLLOWERS = "followers"
    AUTHORS = "authors"


class OutgoingEdges(Protocol):
    """Whom a user follows, and which photos a user likes.

    Of two states of an edge, the one with the later time wins; at equal times, removed wins.
    """

    async def write(self, kind: OutgoingEdge, member: UserId, owner: int, state: Membership) -> None: ...

    async def write_all(self, kind: OutgoingEdge, edges: Sequence[tuple[UserId, int, Membership]]) -> None:
        """Write many (member, owner, state); after a failure, any of them may be written."""

    async def state(self, kind: OutgoingEdge, member: UserId, owner: int) -> Membership | None: ...

    async def following(self, follower: UserId) -> Following:
        """Return everybody whom the user follows now."""

    async def following_rows(self, follower: UserId) -> FollowingRows:
        """Like `following`, with the time of the newest row. Rows written meanwhile may be missing."""

    async def following_counts(self, follower: UserId) -> FollowingCounts:
        """Return how many rows `following` would read, without reading them to here."""

    async def liked(self, user: UserId, photos: Sequence[PhotoId]) -> set[PhotoId]:
        """Return those of `photos` (at most 100) that the user likes; one call."""

    async def newest_likes(self, user: UserId, era: int, count: int) -> EraLikes:
        """Return the user's newest likes of photos of one era (`core/eras.py`).

        Reads up to `count` rows, which include removed likes.
        """


class UserScan(Protocol):
    """A scan of all users who follow or post, in an order of the store's choice, as `PhotoScan` is one."""

    async def after(self, users: ScannedUsers, position: int, *, limit: int) -> Sequence[tuple[int, UserId]]:
        """Return up to `limit` (position, user) pairs that follow `position`; none at the end."""


class RemovalMarks(Protocol):
    """Times at which edges were removed of which nothing was stored.

    Such a removal leaves no row. Its mark is kept for a while, because an event that adds the edge may
    be on its way: published before the removal, and handled after it.
    """

    async def put(self, kind: OutgoingEdge, member: UserId, owner: int, time_us: int) -> None:
        """Mark the edge as removed at this time; replaces its earlier mark."""

    async def times(self, kind: OutgoingEdge, edges: Sequence[tuple[UserId, int]]) -> list[int | None]:
        """Return the time of the mark of each (member, owner), in order; one call."""


class CountedSets(Protocol):
    """Incoming edges. Only `edges/counting.py` writes a set."""

    async def summaries(self, kind: SetKind, owners: Sequence[int]) -> dict[int, SetSummary]:
        """Return the level and the total of every owner; one call for every 100."""

    async def read(
        self, wanted: Mapping[BucketKey, Collection[int]], *, totals: Mapping[BucketKey, int]
    ) -> dict[BucketKey, BucketState]:
        """Return each bucket's count and the rows of the wanted members, perhaps with other rows.

        `totals` are the known sizes of buckets; they only make the read faster.
        """

    async def write(self, writes: Sequence[BucketWrite]) -> None:
        """Apply each write completely or not at all.

        A count loses against a stored one with a newer stamp, and a row against a stored one with
        a later time.
        """

    async def bucket(self, key: BucketKey) -> BucketState:
        """Return all rows of one bucket, removed ones included, and its count, as of one moment."""

    async def stored_page(self, key: BucketKey) -> StoredPage:
        """Return what is stored beside the rows of one bucket."""

    async def bucket_counts(self, kind: SetKind, owner: int, level: int) -> dict[int, int]:
        """Return the count of each bucket that has one, by bucket."""

    async def members(self, keys: Sequence[BucketKey]) -> dict[BucketKey, PackedIds]:
        """Return the members of each bucket, packed, ascending, from its page or its rows."""

    async def page(self, key: BucketKey, *, after: int, limit: int) -> list[int]:
        """Return up to `limit` members of one bucket, ascending, with ids above `after`."""
