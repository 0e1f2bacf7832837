"""The values of a page, read through the cache. Each kind takes one call a page, whatever its length."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Self

from schemas.ids import ID_MAX, PhotoId, UserId
from schemas.internal import SetKind
from streams.core.edges import EraLikes, Following, FollowingCounts
from streams.core.eras import era_of
from streams.core.photos import PullList, SeenPhoto
from streams.errors import StoreUnavailable
from streams.ports.edges import CountedSets, OutgoingEdges
from streams.ports.photos import AuthorPhotos, Photos
from streams.settings import CacheSettings
from streams.stores.cache.codecs import (
    NO_PHOTO,
    decode_following,
    decode_following_counts,
    decode_likes,
    decode_photo,
    decode_pull_list,
    decode_total,
    encode_following,
    encode_following_counts,
    encode_likes,
    encode_photo,
    encode_pull_list,
    encode_total,
)
from streams.stores.cache.keys import (
    count_key,
    following_counts_key,
    following_key,
    likes_key,
    photo_key,
    pull_list_key,
)
from streams.stores.cache.read_through import CachedKind, ReadResult, ReadThrough

# An upload invalidates the cached value "no such photo". The TTL is short so that such values of
# ids that a client invents do not fill the cache.
ABSENT_PHOTO_CACHED_S = 10

# 500 ids are 4 kB, as much as a timeline. A page reads older likes from the database.
LIKES_CACHED_MAX = 500
LIKES_CACHED_S = 3_600


@dataclass(frozen=True, slots=True, kw_only=True)
class CachedReads:
    """The reads of a page that go through the cache."""

    through: ReadThrough
    outgoing_edges: OutgoingEdges
    following_kind: CachedKind[Following]
    following_counts_kind: CachedKind[FollowingCounts]
    photo_kind: CachedKind[SeenPhoto]
    pull_list_kind: CachedKind[PullList]
    total_kinds: Mapping[SetKind, CachedKind[int]]
    likes_cached_max: int = LIKES_CACHED_MAX

    @classmethod
    def of(
        cls,
        through: ReadThrough,
        settings: CacheSettings,
        *,
        outgoing_edges: OutgoingEdges,
        photos: Photos,
        author_photos: AuthorPhotos,
        counted_sets: CountedSets,
    ) -> Self:
        """Make each kind of cached value, with the read of the database that loads it."""
        return cls(
            through=through,
            outgoing_edges=outgoing_edges,
            following_kind=CachedKind(
                name="following",
                key=following_key,
                encode=encode_following,
                decode=decode_following,
                load=partial(_load_following, outgoing_edges),
                ttl_s=settings.following_copy_s,
                large=True,
            ),
            following_counts_kind=CachedKind(
                name="following_counts",
                key=following_counts_key,
                encode=encode_following_counts,
                decode=decode_following_counts,
                load=partial(_load_following_counts, outgoing_edges),
                ttl_s=settings.count_copy_s,
                large=True,
            ),
            photo_kind=CachedKind(
                name="photos",
                key=photo_key,
                encode=encode_photo,
                decode=decode_photo,
                load=partial(_load_photos, photos),
                ttl_s=settings.photo_copy_s,
                absent=NO_PHOTO,
                absent_ttl_s=ABSENT_PHOTO_CACHED_S,
            ),
            pull_list_kind=CachedKind(
                name="pull_lists",
                key=pull_list_key,
                encode=encode_pull_list,
                decode=decode_pull_list,
                load=partial(_load_pull_lists, author_photos, settings.pull_list_ids_max),
                ttl_s=settings.pull_list_copy_s,
            ),
            total_kinds={
                kind: CachedKind(
                    name=kind.value,
                    key=partial(count_key, kind),
                    encode=encode_total,
                    decode=decode_total,
                    load=partial(_load_totals, counted_sets, kind),
                    ttl_s=settings.count_copy_s,
                )
                for kind in SetKind
            },
        )

    async def following(self, user: UserId) -> ReadResult[Following]:
        return await self.through.get(self.following_kind, [user])

    async def following_counts(self, user: UserId, *, waits: bool = True) -> ReadResult[FollowingCounts]:
        """How many rows the user has in `following`.

        Raises:
            TooManyReads: If `waits` is false, also at once while the rows are being counted for another
                request, or rest from that.
        """
        return await self.through.get(self.following_counts_kind, [user], waits=waits)

    async def photos(self, photos: Sequence[int]) -> ReadResult[SeenPhoto]:
        return await self.through.get(self.photo_kind, photos)

    async def pull_lists(self, authors: Sequence[int]) -> ReadResult[PullList]:
        """Each author's newest photos. A list shorter than `pull_list_ids_max` has all of them."""
        return await self.through.get(self.pull_list_kind, authors)

    async def totals(self, kind: SetKind, owners: Sequence[int]) -> ReadResult[int]:
        return await self.through.get(self.total_kinds[kind], owners)

    async def liked(self, user: UserId, photos: Sequence[PhotoId]) -> set[PhotoId]:
        """Which of `photos` (at most 100) the user likes.

        Raises:
            StoreUnavailable: For some photos neither the cache nor the database responded.
            TooManyReads: See `DatabaseReads`.
        """
        eras = list({era_of(photo) for photo in photos})
        newest = await self.through.get(self._likes_of(user), eras)
        if newest.unknown:
            raise StoreUnavailable("cassandra", "newest likes", "not known now")
        floors = {era: likes.floor for era, likes in newest.values.items()}
        known = {photo for likes in newest.values.values() for photo in likes.photos}
        deeper = [photo for photo in photos if photo <= floors[era_of(photo)]]
        liked = known.intersection(photos)
        if deeper:
            async with self.through.reads.slot():
                liked |= await self.outgoing_edges.liked(user, deeper)
        return liked

    def _likes_of(self, user: UserId) -> CachedKind[EraLikes]:
        return CachedKind(
            name="likes",
            key=partial(likes_key, user),
            encode=encode_likes,
            decode=decode_likes,
            load=partial(_load_likes, self.outgoing_edges, user, self.likes_cached_max),
            ttl_s=LIKES_CACHED_S,
        )


async def _load_following(edges: OutgoingEdges, users: Sequence[int]) -> dict[int, Following]:
    return {user: await edges.following(UserId(user)) for user in users}


async def _load_following_counts(edges: OutgoingEdges, users: Sequence[int]) -> dict[int, FollowingCounts]:
    return {user: await edges.following_counts(UserId(user)) for user in users}


async def _load_photos(photos: Photos, ids: Sequence[int]) -> dict[int, SeenPhoto]:
    rows = await photos.get([PhotoId(photo) for photo in ids])
    return {int(photo): SeenPhoto.of(row) for photo, row in rows.items()}


async def _load_pull_lists(
    author_photos: AuthorPhotos, ids_max: int, authors: Sequence[int]
) -> dict[int, PullList]:
    newest = await author_photos.newest(
        [UserId(author) for author in authors], below=ID_MAX, each_max=ids_max
    )
    return {int(author): PullList.of(photos) for author, photos in newest.items()}


async def _load_totals(sets: CountedSets, kind: SetKind, owners: Sequence[int]) -> dict[int, int]:
    return {owner: summary.total for owner, summary in (await sets.summaries(kind, owners)).items()}


async def _load_likes(
    edges: OutgoingEdges, user: UserId, likes_max: int, eras: Sequence[int]
) -> dict[int, EraLikes]:
    return {era: await edges.newest_likes(user, era, likes_max) for era in eras}
