"""Look at stored timelines: what a reader's should hold, computed from the database."""

from collections.abc import Callable, Collection
from dataclasses import dataclass

from more_itertools import sliced

from schemas.ids import PhotoId, UserId, id_ms
from streams.clock import unix_ms
from streams.core.edges import Following, OutgoingEdge
from streams.core.feed import TOP
from streams.core.overload.deferral import PERIOD_MS
from streams.core.ring import NO_TOKEN, Ring, parse
from streams.jobs.audit.drift import Compared, compare_timeline
from streams.ports.edges import OutgoingEdges
from streams.ports.photos import AuthorPhotos, DeferredPosts, Photos, PulledAuthors, UndeliveredPhotos
from streams.ports.timelines import Timelines
from streams.timelines.newest import newest_of

PHOTOS_A_CALL = 1_000


@dataclass(frozen=True, slots=True)
class TimelinesLook:
    """Compares at most the newest `timeline_ids` photos.

    The row of a removed follow is there for `removed_edge_ttl_s` and explains photos of that time only.
    """

    timelines: Timelines
    photos: Photos
    author_photos: AuthorPhotos
    outgoing_edges: OutgoingEdges
    pulled_authors: PulledAuthors
    undelivered: UndeliveredPhotos
    deferred: DeferredPosts
    timeline_ids: int
    removed_edge_ttl_s: int
    clock_ms: Callable[[], int] = unix_ms

    async def timeline_of(self, owner: UserId, following: Following) -> Compared:
        """Compare the stored timeline, if there is one and it is not being rebuilt."""
        value = await self.timelines.peek(owner)
        if value is None or (ring := parse(value)).token != NO_TOKEN:
            return Compared()
        authors = [*following, owner]
        newest = await newest_of(self.author_photos, authors, below=TOP, count=self.timeline_ids)
        missing = {PhotoId(photo) for photo in newest.ids if photo > ring.floor} - ring.ids
        pulled = await self._pulled(missing) if missing else ()
        unknown = await self._unknown(owner, following, ring, ring.ids - set(newest.ids))
        return compare_timeline(owner, ring, newest, pulled=pulled, unknown=unknown)

    async def _pulled(self, photos: Collection[PhotoId]) -> set[int]:
        """Return those of `photos` that readers get from elsewhere, or that are not shown."""
        authors, undelivered = await self.pulled_authors.all(), await self.undelivered.all()
        pulled: set[int] = set(undelivered)
        for some in sliced(sorted(photos), PHOTOS_A_CALL):
            rows = await self.photos.get(some)
            pulled |= {
                photo
                for photo in some
                if (row := rows.get(photo)) is None or row.deleted or row.author_id in authors
            }
        for period in {id_ms(photo) // PERIOD_MS for photo in set(photos) - pulled}:
            pulled |= {post.photo_id for post in await self.deferred.of_period(period)}
        return pulled

    async def _unknown(
        self, owner: UserId, following: Following, ring: Ring, ids: Collection[int]
    ) -> set[int]:
        """Return those of `ids` without a row, and those of authors of whom the owner has no row."""
        oldest_ms = self.clock_ms() - self.removed_edge_ttl_s * 1_000
        photos = [PhotoId(photo) for photo in ids if photo > ring.floor and id_ms(photo) > oldest_ms]
        rows = await self.photos.get(photos)
        authors = {row.author_id for row in rows.values()} - following.keys() - {owner}
        strangers = {
            author
            for author in authors
            if await self.outgoing_edges.state(OutgoingEdge.FOLLOWING, owner, author) is None
        }
        return {photo for photo in photos if photo not in rows or rows[photo].author_id in strangers}
