"""Ports of the stored timelines.

Implemented by the real store and by its in-memory twin. Every method raises
`StoreUnavailable` when nothing is known about what it was asked for; every method may be
repeated.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

from schemas.ids import PackedIds, PhotoId, UserId


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

    async def checkpoints(self, partitions: Sequence[int]) -> dict[int, int]:
        """For each partition of `fanout` the next offset to apply, where it is known."""

    async def save_checkpoint(self, partition: int, position: int, *, expected: int | None) -> bool:
        """Note that every record below `position` has been applied, if the note still is `expected`.

        False means that this is not the store that was noted in last: it was lost or came
        back older, and records between must be applied again. None: there is no note.
        """

    async def save_all_checkpoints(self, positions: Mapping[int, int]) -> bool:
        """Note all partitions at once if none is noted; the first thing done to a new or flushed store."""

    async def verified(self) -> bool:
        """Whether every partition's worker has found this store to be as new as its commits."""

    async def confirm(self, expected: Mapping[int, int]) -> set[int]:
        """Mark the partitions whose note is as expected as verified; answers the others."""


class RebuildBudget(Protocol):
    async def take(self) -> bool:
        """Whether one more rebuild may begin now, counted over all processes."""
