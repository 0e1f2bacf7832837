"""Ports of the stored timelines, of what a page reads together with one, and of who reads them.

Implemented by the real store and by its in-memory twin. Every method raises
`StoreUnavailable` when nothing is known about what it was asked for; every method may be
repeated.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from schemas.ids import PackedIds, PhotoId, UserId


@dataclass(frozen=True, slots=True)
class PhotosForOwners:
    """Photos, ascending, that are put on the timelines of the same owners."""

    photos: tuple[PhotoId, ...]
    owners: PackedIds


class Timelines(Protocol):
    """The stored timelines (rings) of active readers. Only `fanout` and rebuilds write them.

    For each partition of `fanout` the store has a checkpoint: every record below that offset has
    been applied to this store. A store of several servers has timelines in groups, numbered from 0, with a
    checkpoint each, because it may lose some of them. `core.checkpoints.group_of` says in which one a
    timeline is. Without `groups`, a call is about all of them.
    """

    async def groups_by_server(self) -> Sequence[Sequence[int]]:
        """Return which groups each server has, as far as this process knows; each group once.

        A call about groups and owners of one server needs no other server.
        """

    async def append(self, puts: Sequence[PhotosForOwners]) -> int:
        """Append fresh photos to the timelines that exist, in one call.

        `puts` have at most 1,000 owners in all. Returns how many deliveries that were: for each
        timeline that exists, the number of its photos.
        """

    async def insert(self, owners: PackedIds, photos: Sequence[PhotoId]) -> int:
        """Insert a few late photos by id into the timelines that exist; returns like `append`."""

    async def merge(self, owner: UserId, photos: Sequence[PhotoId]) -> bool:
        """Merge many photos by id into a timeline at once; returns whether it exists."""

    async def existing(self, owners: PackedIds) -> PackedIds:
        """Return those of `owners` (at most 1,000) who have a timeline."""

    async def read(self, owner: UserId) -> bytes | None:
        """Return the ring's bytes (`core.ring.parse`), renew its TTL; None without a timeline."""

    async def peek(self, owner: UserId) -> bytes | None:
        """Like `read`, but leave the TTL as it is: the owner did not ask."""

    async def begin_rebuild(self, owner: UserId, token: bytes) -> bool:
        """Create an empty timeline that holds `token`, the mark of this rebuild.

        Returns False if the owner has a timeline already, also one of an unfinished rebuild.
        """

    async def finish_rebuild(
        self, owner: UserId, token: bytes, photos: Sequence[PhotoId], floor: int
    ) -> bool:
        """Merge the database's `photos` and clear the token.

        Returns False, and changes nothing, if the token has changed or the timeline is gone.
        """

    async def forget(self, owner: UserId) -> None: ...

    async def forget_all(self, groups: Collection[int] | None = None) -> int:
        """Remove every timeline; returns how many there were."""

    async def checkpoints(self, partitions: Sequence[int]) -> dict[int, int]:
        """Return the lowest checkpoint of each partition, if all groups have one: all below it is applied."""

    async def checkpoints_by_server(
        self, partitions: Sequence[int]
    ) -> Sequence[tuple[Sequence[int], Mapping[int, int] | None]]:
        """Like `checkpoints`, for the groups of each server, which are beside it.

        None is a server that does not respond. Raises StoreUnavailable if none does.
        """

    async def checkpoints_by_group(
        self, partitions: Sequence[int], groups: Collection[int] | None = None
    ) -> Sequence[Mapping[int, int]]:
        """Return the checkpoints that each group has, in the order of `groups`."""

    async def save_checkpoint(
        self, partition: int, position: int, *, expected: int | None, groups: Collection[int] | None = None
    ) -> bool:
        """Store the checkpoint `position` where the stored one is `expected`; None is no checkpoint.

        Returns False if a stored checkpoint is another than these two: since the last checkpoint, this store
        has lost data or was restarted with older data. The records since then must be applied
        again. The other groups may have the new checkpoint then.
        """

    async def save_all_checkpoints(
        self, positions: Mapping[int, int], groups: Collection[int] | None = None
    ) -> bool:
        """Store all checkpoints of a group at once if it has none of them; returns whether all had none.

        This is the first write to a new or flushed store.
        """

    async def verified(self) -> bool:
        """Return whether all partitions are verified.

        A partition is verified if its worker has found this store no older than its committed
        offset.
        """

    async def confirm(self, expected: Mapping[int, int], groups: Collection[int] | None = None) -> set[int]:
        """Mark the partitions whose checkpoint is as expected as verified, in each group.

        Returns the partitions whose checkpoint differs in at least one group.
        """


@dataclass(frozen=True, slots=True)
class PageStart:
    """The cached value of each key, in order; the bytes of the reader's timeline; whether all partitions
    are verified, see `Timelines.verified`."""

    cached: Sequence[bytes | None]
    timeline: bytes | None
    is_verified: bool


class PageStarts(Protocol):
    """Reads the cache and the timelines together, because each round trip costs as much as what it brings."""

    async def read(self, keys: Sequence[bytes], reader: UserId) -> PageStart:
        """Read the cached `keys`, and *after that* the timeline, whose TTL is renewed.

        One round trip where one server has all of it. Where keys lie on several servers, only a reply
        to the first read proves the order, so it takes two.

        Raises:
            StoreUnavailable: Nothing is known of any of it.
        """


class RebuildBudget(Protocol):
    """A limit on rebuilds a second, counted over all processes."""

    async def take(self) -> bool:
        """Return whether one more rebuild may begin now."""


HOUR_S = 3_600


class ActiveReaders(Protocol):
    """Which readers asked for their feeds in an hour (of 3,600 s since 1970); outlives a loss of timelines.

    An hour is forgotten when the timelines that were last read in it expire.
    """

    async def record(self, hour: int, readers: Collection[UserId]) -> None: ...

    async def page(self, hour: int, after: UserId | None, count: int) -> list[UserId]:
        """Return the next `count` readers of the hour behind `after`, each once, in an order that stays.

        None is the first page. Fewer than `count` means that there are no more. Makes up to 16 calls.
        """
