"""The values of a page, read through the cache. Each kind takes one call a page, whatever its length."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import Self

from schemas.ids import ID_MAX, PhotoId, UserId
from schemas.internal import SetKind
from streams.core.edges import EraLikes, Following, FollowingCounts, FollowingRows
from streams.core.eras import era_of, eras_of
from streams.core.photos import PullList, SeenPhoto
from streams.errors import StoreUnavailable
from streams.ports.edges import CountedSets, OutgoingEdges
from streams.ports.photos import AuthorPhotos, Photos
from streams.settings import CacheSettings
from streams.stores.cache.codecs import (
    NO_PHOTO,
    decode_following_counts,
    decode_likes,
    decode_photo,
    decode_pull_list,
    decode_total,
    encode_following_counts,
    encode_likes,
    encode_photo,
    encode_pull_list,
    encode_total,
)
from streams.stores.cache.following import decode_following, encode_following
from streams.stores.cache.keys import (
    count_key,
    count_keys,
    following_counts_key,
    following_key,
    likes_key,
    photo_key,
    photo_keys,
    pull_list_key,
)
from streams.stores.cache.read_through import CachedKind, ReadResult, ReadThrough, known

# Above this number of lists, one window of the database over their authors costs less. 256 lists of
# 100 pairs are 400 kB from Redis, and a reader who has just followed thousands of authors would
# have thousands of lists.
PULL_LISTS_MAX = 256

# An upload invalidates the cached value "no such photo". The TTL is short so that such values of
# ids that a client invents do not fill the cache.
ABSENT_PHOTO_CACHED_S = 10

# 500 ids are 4 kB, as much as a timeline. A page reads older likes from the database.
LIKES_CACHED_MAX = 500
LIKES_CACHED_S = 3_600

# Readers see the same photos, and decoding one costs more than finding it by its bytes. With its
# bytes a photo takes 1.5 kB: 12 MB in all.
PHOTOS_DECODED_MAX = 8_192


@dataclass(frozen=True, slots=True)
class CachedLikes:
    """What the cache has of the likes of some photos: totals by photo, and the reader's newest by era."""

    totals: Mapping[int, int] = field(default_factory=dict)
    newest: Mapping[int, EraLikes] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class CachedReads:
    """The reads of a page that go through the cache."""

    through: ReadThrough
    outgoing_edges: OutgoingEdges
    following_kind: CachedKind[FollowingRows]
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
                decode=lru_cache(PHOTOS_DECODED_MAX)(decode_photo),
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
                joined=True,
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

    async def following(self, user: UserId, *, waits: bool = True) -> ReadResult[Following]:
        """Whom the user follows. Raises TooManyReads: see `following_counts`."""
        return _without_times(await self.through.get(self.following_kind, [user], waits=waits))

    def start_keys(self, user: UserId, authors: Sequence[int]) -> list[bytes]:
        """Return the keys whose values `start_of` takes."""
        return [following_key(user), *map(pull_list_key, authors)]

    async def start_of(
        self, user: UserId, authors: Sequence[int], cached: Sequence[bytes | None] | None
    ) -> tuple[ReadResult[Following], ReadResult[PullList]]:
        """Return whom the user follows, and those of the authors' pull lists that are cached.

        `cached` is None if the cache did not respond.
        """
        rows = await self.through.completed(self.following_kind, [user], cached and cached[:1])
        following = _without_times(rows)
        if cached is None:
            return following, ReadResult()
        lists, missing = known(self.pull_list_kind, authors, cached[1:])
        self.through.count(self.pull_list_kind.name, len(authors) - len(missing), 0)
        return following, lists

    async def following_counts(self, user: UserId, *, waits: bool = True) -> ReadResult[FollowingCounts]:
        """How many rows the user has in `following`.

        Raises:
            TooManyReads: If `waits` is false, also at once while the rows are being counted for another
                request, or rest from that.
        """
        return await self.through.get(self.following_counts_kind, [user], waits=waits)

    async def photos(self, photos: Sequence[int]) -> ReadResult[SeenPhoto]:
        return await self.through.get(self.photo_kind, photos)

    async def photos_with_likes(
        self, user: UserId, photos: Sequence[int]
    ) -> tuple[ReadResult[SeenPhoto], CachedLikes]:
        """Like `photos`; the call of the cache also reads the photos' likes, for `totals` and `liked`."""
        count, eras = len(photos), list(eras_of(photos))
        likes_keys = [likes_key(user, era) for era in eras]
        keys = [*photo_keys(photos), *count_keys(SetKind.LIKERS, photos), *likes_keys]
        try:
            cached = await self.through.cached(keys)
        except StoreUnavailable:
            return await self.through.completed(self.photo_kind, photos, None), CachedLikes()
        totals_cached, newest_cached = cached[count : 2 * count], cached[2 * count :]
        totals = {
            photo: decode_total(value) for photo, value in zip(photos, totals_cached, strict=True) if value
        }
        newest = {era: decode_likes(value) for era, value in zip(eras, newest_cached, strict=True) if value}
        # What is missing counts when it is read for a photo that is shown.
        self.through.count(SetKind.LIKERS.value, len(totals), 0)
        self.through.count("likes", len(newest), 0)
        rows = await self.through.completed(self.photo_kind, photos, cached[:count])
        return rows, CachedLikes(totals, newest)

    async def pull_lists(self, authors: Sequence[int], *, may_be_cached: bool = True) -> ReadResult[PullList]:
        """Each author's newest photos. A list shorter than `pull_list_ids_max` has all of them.

        `may_be_cached` is false if the cache has just been asked for all of them and had none.
        """
        if may_be_cached:
            return await self.through.get(self.pull_list_kind, authors)
        return await self.through.completed(self.pull_list_kind, authors, [None] * len(authors))

    async def totals(self, kind: SetKind, owners: Sequence[int]) -> ReadResult[int]:
        return await self.through.get(self.total_kinds[kind], owners)

    async def liked(
        self, user: UserId, photos: Sequence[PhotoId], cached: Mapping[int, EraLikes]
    ) -> set[PhotoId]:
        """Which of `photos` (at most 100) the user likes. `cached` are newest likes that are known.

        Raises:
            StoreUnavailable: For some photos neither the cache nor the database responded.
            TooManyReads: See `DatabaseReads`.
        """
        newest = cached
        missing = eras_of(photos) - cached.keys()
        if missing:
            read = await self.through.get(self._likes_of(user), list(missing))
            if read.unknown:
                raise StoreUnavailable("cassandra", "newest likes", "not known now")
            newest = {**cached, **read.values}
        liked: set[PhotoId] = set()
        for likes in newest.values():
            liked |= set(photos).intersection(likes.photos)
        floor = max(likes.floor for likes in newest.values())
        deeper = [photo for photo in photos if photo <= floor and photo <= newest[era_of(photo)].floor]
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


def _without_times(rows: ReadResult[FollowingRows]) -> ReadResult[Following]:
    following = {user: read.following for user, read in rows.values.items()}
    return ReadResult(following, rows.unknown, rows.cache_answered)


async def _load_following(edges: OutgoingEdges, users: Sequence[int]) -> dict[int, FollowingRows]:
    return {user: await edges.following_rows(UserId(user)) for user in users}


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
