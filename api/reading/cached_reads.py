"""What pages are made of, each read through its copies: one call a page, whatever its length."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Self

from schemas.ids import ID_MAX, PhotoId, UserId
from schemas.internal import SetKind
from streams.core.edges import EraLikes, Following
from streams.core.eras import era_of
from streams.core.photos import PullList, SeenPhoto
from streams.errors import StoreUnavailable
from streams.ports.edges import OutgoingEdges
from streams.ports.groups import Stores
from streams.settings import Settings
from streams.stores.cache.codecs import (
    NO_PHOTO,
    decode_following,
    decode_likes,
    decode_photo,
    decode_pull_list,
    decode_total,
    encode_following,
    encode_likes,
    encode_photo,
    encode_pull_list,
    encode_total,
)
from streams.stores.cache.keys import count_key, following_key, likes_key, photo_key, pull_list_key
from streams.stores.cache.read_through import CachedKind, ReadResult, ReadThrough

# An upload drops the copy that says there is no such photo; this bounds the copies of
# ids that somebody makes up.
ABSENT_PHOTO_COPY_S = 10

# 4 kB, as much as the timeline; older likes are looked for by the page.
LIKES_COPIED_MAX = 500
LIKES_COPY_S = 3_600


@dataclass(frozen=True, slots=True)
class CachedReads:
    """Every read that a page makes of both stores."""

    through: ReadThrough
    outgoing_edges: OutgoingEdges
    following_kind: CachedKind[Following]
    photo_kind: CachedKind[SeenPhoto]
    pull_list_kind: CachedKind[PullList]
    total_kinds: Mapping[SetKind, CachedKind[int]]

    @classmethod
    def of(cls, stores: Stores, settings: Settings, through: ReadThrough) -> Self:
        return cls(
            through=through,
            outgoing_edges=stores.outgoing_edges,
            following_kind=_following(stores, settings),
            photo_kind=_photos(stores, settings),
            pull_list_kind=_pull_lists(stores, settings),
            total_kinds={kind: _totals(kind, stores, settings) for kind in SetKind},
        )

    async def following(self, user: UserId) -> ReadResult[Following]:
        return await self.through.get(self.following_kind, [user])

    async def photos(self, photos: Sequence[int]) -> ReadResult[SeenPhoto]:
        return await self.through.get(self.photo_kind, photos)

    async def pull_lists(self, authors: Sequence[int]) -> ReadResult[PullList]:
        """Each author's newest photos; fewer than `pull_list_ids_max` are all that there are."""
        return await self.through.get(self.pull_list_kind, authors)

    async def totals(self, kind: SetKind, owners: Sequence[int]) -> ReadResult[int]:
        return await self.through.get(self.total_kinds[kind], owners)

    async def liked(self, user: UserId, photos: Sequence[PhotoId]) -> set[PhotoId]:
        """Which of `photos` (at most 100) the user likes.

        Raises:
            StoreUnavailable: Neither a copy nor the database answered for some.
            TooManyReads: See `DatabaseReads`.
        """
        found = await self.through.get(self._likes_of(user), list({era_of(photo) for photo in photos}))
        if found.unknown:
            raise StoreUnavailable("cassandra", "newest likes", "not known now")
        floors = {era: likes.floor for era, likes in found.values.items()}
        known = {photo for likes in found.values.values() for photo in likes.photos}
        deeper = [photo for photo in photos if photo <= floors[era_of(photo)]]
        older = await self.outgoing_edges.liked(user, deeper) if deeper else set()
        return older | known.intersection(photos)

    def _likes_of(self, user: UserId) -> CachedKind[EraLikes]:
        async def load(eras: Sequence[int]) -> dict[int, EraLikes]:
            return {era: await self.outgoing_edges.newest_likes(user, era, LIKES_COPIED_MAX) for era in eras}

        return CachedKind(
            name="likes",
            key=partial(likes_key, user),
            encode=encode_likes,
            decode=decode_likes,
            load=load,
            ttl_s=LIKES_COPY_S,
        )


def _following(stores: Stores, settings: Settings) -> CachedKind[Following]:
    async def load(users: Sequence[int]) -> dict[int, Following]:
        return {
            user: {
                each.followee_id: each.seen_ms for each in await stores.outgoing_edges.following(UserId(user))
            }
            for user in users
        }

    return CachedKind(
        name="following",
        key=following_key,
        encode=encode_following,
        decode=decode_following,
        load=load,
        ttl_s=settings.following_copy_s,
    )


def _photos(stores: Stores, settings: Settings) -> CachedKind[SeenPhoto]:
    async def load(photos: Sequence[int]) -> Mapping[int, SeenPhoto]:
        found = await stores.photos.get([PhotoId(photo) for photo in photos])
        return {int(photo): SeenPhoto.of(row) for photo, row in found.items()}

    return CachedKind(
        name="photos",
        key=photo_key,
        encode=encode_photo,
        decode=decode_photo,
        load=load,
        ttl_s=settings.photo_copy_s,
        absent=NO_PHOTO,
        absent_ttl_s=ABSENT_PHOTO_COPY_S,
    )


def _pull_lists(stores: Stores, settings: Settings) -> CachedKind[PullList]:
    async def load(authors: Sequence[int]) -> dict[int, PullList]:
        found = await stores.author_photos.newest(
            [UserId(author) for author in authors], below=ID_MAX, each_max=settings.pull_list_ids_max
        )
        return {int(author): PullList.of(photos) for author, photos in found.items()}

    return CachedKind(
        name="pull_lists",
        key=pull_list_key,
        encode=encode_pull_list,
        decode=decode_pull_list,
        load=load,
        ttl_s=settings.pull_list_copy_s,
    )


def _totals(kind: SetKind, stores: Stores, settings: Settings) -> CachedKind[int]:
    async def load(owners: Sequence[int]) -> dict[int, int]:
        return {
            owner: head.total for owner, head in (await stores.counted_sets.summaries(kind, owners)).items()
        }

    def key(owner: int) -> bytes:
        return count_key(kind, owner)

    return CachedKind(
        name=kind.value,
        key=key,
        encode=encode_total,
        decode=decode_total,
        load=load,
        ttl_s=settings.count_copy_s,
    )
