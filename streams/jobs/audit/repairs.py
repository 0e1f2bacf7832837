"""Repair differences through the usual writers of the tables, so that each set still has one writer."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

from schemas.ids import UserId
from schemas.internal import LEFT_TIME_US, READY_TIME_US, EdgeRecord, SetKind
from streams.core.counted import bucket_of
from streams.core.edges import OutgoingEdge
from streams.core.sets import BucketKey
from streams.edges.changed import Edge, write_follows, write_likes
from streams.jobs.audit.drift import (
    Difference,
    ListPhoto,
    PullAuthor,
    RebuildTimeline,
    StateEdge,
    StateReady,
)
from streams.jobs.audit.edges import SETS
from streams.ports.groups import AuditStores
from streams.ports.publishing import Outbox, Recounts
from streams.stores.cache.keys import pull_list_key
from streams.timelines.rebuild import Rebuilder

REBUILD_S_MAX = 10.0


@dataclass(frozen=True, slots=True)
class Repairs:
    """Repairs what is found; every repair may be repeated.

    A row that somebody deleted by hand hides what was written before that moment. So with `as_of_us`, rows
    are written as of that time, which is before the look that found the differences: what changed since is
    later, and wins. Without, they are written as of their event, and a later event on its way wins, too.
    """

    stores: AuditStores
    outbox: Outbox
    recounts: Recounts
    rebuilder: Rebuilder

    async def repair(self, differences: Sequence[Difference], *, as_of_us: int | None) -> None:
        """Repair what can be.

        Raises:
            StoreUnavailable: Some of it may be repaired; call it again.
        """
        repairs = [difference.repair for difference in differences]
        edges = [repair for repair in repairs if isinstance(repair, StateEdge)]
        ready = [repair for repair in repairs if isinstance(repair, StateReady)]
        await self._edges(edges, as_of_us)
        await self._ready(ready, as_of_us)
        # A row that is written and stays hidden was counted nevertheless.
        buckets = {
            *[repair for repair in repairs if isinstance(repair, BucketKey)],
            *await self._buckets([(SETS[edge.kind], edge.owner, edge.member) for edge in edges]),
            *await self._buckets([(SetKind.READY_PHOTOS, each.author, each.photo) for each in ready]),
        }
        if buckets:
            await self.recounts.recount(sorted(buckets, key=lambda key: (key.kind, key.owner, key.bucket)))
        for photo in (repair for repair in repairs if isinstance(repair, ListPhoto)):
            await self._list(photo, as_of_us)
        pulled = [repair.author for repair in repairs if isinstance(repair, PullAuthor)]
        await self.stores.pulled_authors.add(pulled)
        for owner in {repair.owner for repair in repairs if isinstance(repair, RebuildTimeline)}:
            await self._rebuild(owner)

    async def _buckets(self, rows: Sequence[tuple[SetKind, int, int]]) -> set[BucketKey]:
        """Return the bucket of each (set, owner, member)."""
        by_kind: dict[SetKind, list[tuple[int, int]]] = defaultdict(list)
        for kind, owner, member in rows:
            by_kind[kind].append((owner, member))
        keys = set()
        for kind, some in by_kind.items():
            summaries = await self.stores.counted_sets.summaries(kind, list({owner for owner, _ in some}))
            for owner, member in some:
                level = summaries[owner].level
                keys.add(BucketKey(kind, owner, level, bucket_of(member, level)))
        return keys

    async def _edges(self, stated: Sequence[StateEdge], as_of_us: int | None) -> None:
        edges: dict[OutgoingEdge, list[Edge]] = {kind: [] for kind in OutgoingEdge}
        for edge in stated:
            state = edge.state if as_of_us is None else replace(edge.state, time_us=as_of_us)
            edges[edge.kind].append((edge.member, edge.owner, state))
        ports = (self.stores.outgoing_edges, self.stores.removal_marks, self.stores.cache, self.outbox)
        if follows := edges[OutgoingEdge.FOLLOWING]:
            await write_follows(*ports, follows)
        if likes := edges[OutgoingEdge.LIKES]:
            await write_likes(*ports, likes)

    async def _ready(self, stated: Sequence[StateReady], as_of_us: int | None) -> None:
        records = []
        for ready in stated:
            time_us = (as_of_us or READY_TIME_US) if ready.is_ready else LEFT_TIME_US
            removed = not ready.is_ready
            records.append(EdgeRecord(SetKind.READY_PHOTOS, ready.photo, ready.author, time_us, removed))
        if records:
            await self.outbox.edges(records)

    async def _list(self, photo: ListPhoto, as_of_us: int | None) -> None:
        if as_of_us is not None:
            await self.stores.author_photos.repair(photo.author, photo.photo, is_listed=photo.is_listed)
        elif photo.is_listed:
            await self.stores.author_photos.add([(photo.photo, photo.author)], ready=True)
        else:
            await self.stores.author_photos.remove(photo.author, photo.photo)
        await self.stores.cache.invalidate([pull_list_key(photo.author)])

    async def _rebuild(self, owner: UserId) -> None:
        if self.rebuilder.is_full:
            return  # It stays as it is, and is found again.
        await self.stores.timelines.forget(owner)
        await self.rebuilder.rebuild(owner, wait_s=REBUILD_S_MAX)
