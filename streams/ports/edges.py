"""Ports of follow and like edges: the outgoing side, and the counted sets of the incoming side.

Implemented by the real store and by its in-memory twin. Every method raises
`StoreUnavailable` when nothing is known about what it was asked for; every method may be
repeated.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from schemas.ids import PackedIds, PhotoId, UserId
from schemas.internal import SetKind
from streams.core.counted import Membership
from streams.core.edges import EraLikes, Followee, OutgoingEdge
from streams.core.sets import BucketKey, BucketState, BucketWrite, SetSummary


class OutgoingEdges(Protocol):
    """The member's own side of follows and likes. The later time wins; at equal times removed wins."""

    async def write(self, kind: OutgoingEdge, member: UserId, owner: int, state: Membership) -> None: ...

    async def write_all(self, kind: OutgoingEdge, edges: Sequence[tuple[UserId, int, Membership]]) -> None:
        """Write many (member, owner, state); on failure each may or may not be written."""

    async def state(self, kind: OutgoingEdge, member: UserId, owner: int) -> Membership | None: ...

    async def following(self, follower: UserId) -> list[Followee]:
        """Everybody whom the user follows now, by id, ascending; removed ones left out."""

    async def liked(self, user: UserId, photos: Sequence[PhotoId]) -> set[PhotoId]:
        """Which of `photos` (at most 100) the user likes; one call."""

    async def newest_likes(self, user: UserId, era: int, count: int) -> EraLikes:
        """What the user likes among the photos of one era (`core/eras.py`); reads at most `count` rows."""


class CountedSets(Protocol):
    """The other side of edges; `handlers/edges_batch.py` is the only writer of a set."""

    async def summaries(self, kind: SetKind, owners: Sequence[int]) -> dict[int, SetSummary]:
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

    async def bucket_counts(self, kind: SetKind, owner: int, level: int) -> dict[int, int]:
        """The counts of the buckets that have any, by bucket."""

    async def members(self, keys: Sequence[BucketKey]) -> dict[BucketKey, PackedIds]:
        """Each bucket's members that are in, packed, in ascending order: its page, else its rows."""

    async def page(self, key: BucketKey, *, after: int, limit: int) -> list[int]:
        """Up to `limit` members of one bucket that are in, ascending, with ids above `after`."""
