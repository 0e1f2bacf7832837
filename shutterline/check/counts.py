"""Compare the counts that are shown with a recount of the rows, bucket by bucket."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from schemas.ids import ID_MAX, PhotoId, UserId, unpack_ids
from schemas.internal import SetKind
from shutterline.check.report import Finding, Kind
from shutterline.client.feed import Json
from streams.core.counted import BUCKETS
from streams.core.sets import BucketKey
from streams.core.slices import slices
from streams.ports.groups import Stores

BUCKETS_A_TIME = 32
# Feeds show likes of many photos; those of the newest are recounted.
LIKES_A_USER_MAX = 20
# A longer list of photos is not read whole only to be counted.
AUTHOR_PHOTOS_MAX = 10_000


@dataclass(frozen=True, slots=True)
class Recount:
    """A set's stored total, its members as the rows of its level say, and how many fan-out has otherwise."""

    total: int
    members: Sequence[int]
    pages_differ: int

    def differs_from(self, shown: int) -> bool:
        return self.pages_differ > 0 or not shown == self.total == len(self.members)

    def beside(self, shown: int) -> str:
        told = f"shown {shown}, stored total {self.total}, rows {len(self.members)}"
        return f"{told}, {self.pages_differ} otherwise in their pages" if self.pages_differ else told


async def recount(stores: Stores, kind: SetKind, owner: int) -> Recount:
    """Count the rows of all buckets of the set's level."""
    head = (await stores.counted_sets.summaries(kind, [owner]))[owner]
    members: list[int] = []
    pages_differ = 0
    for some in slices(range(BUCKETS[head.level]), BUCKETS_A_TIME):
        keys = [BucketKey(kind, owner, head.level, bucket) for bucket in some]
        pages = await stores.counted_sets.members(keys) if kind is SetKind.FOLLOWERS else {}
        buckets = await asyncio.gather(*(stores.counted_sets.bucket(key) for key in keys))
        for key, rows in zip(keys, buckets, strict=True):
            live = [member for member, state in rows.items() if not state.removed]
            members += live
            if key in pages:
                pages_differ += len(set(live).symmetric_difference(unpack_ids(pages[key])))
    return Recount(head.total, members, pages_differ)


async def check_user_counts(
    stores: Stores, user: UserId, shown: Json, followers: Recount
) -> tuple[list[Finding], int]:
    """Findings on what `GET /v1/users/{user_id}` shows, and how many counts were compared."""
    findings = []
    if followers.differs_from(shown["followers"]):
        findings.append(Finding(Kind.FOLLOWERS, user, user, followers.beside(shown["followers"])))
    following = len(await stores.outgoing_edges.following(user))
    if shown["following"] != following:
        detail = f"shown {shown['following']}, rows {following}"
        findings.append(Finding(Kind.FOLLOWING, user, user, detail))
    photos = await recount(stores, SetKind.READY_PHOTOS, user)
    listed = await _listed_photos(stores, user)
    if photos.differs_from(shown["photos"]) or listed not in (None, len(photos.members)):
        detail = f"{photos.beside(shown['photos'])}, the author's list {listed}"
        findings.append(Finding(Kind.PHOTOS, user, user, detail))
    return findings, 3


async def _listed_photos(stores: Stores, user: UserId) -> int | None:
    """How many ready photos the author's list holds; None when it is too long to be read whole."""
    lists = await stores.author_photos.newest([user], below=ID_MAX, each_max=AUTHOR_PHOTOS_MAX)
    photos = lists[user]
    return sum(photo.ready for photo in photos) if len(photos) < AUTHOR_PHOTOS_MAX else None


async def check_likes(stores: Stores, user: UserId, items: Sequence[Json]) -> tuple[list[Finding], int]:
    """Findings on the likes of the feed's newest photos, and how many counts were compared."""
    findings = []
    some = items[:LIKES_A_USER_MAX]
    photos = [PhotoId(int(item["photo_id"])) for item in some]
    liked = await stores.outgoing_edges.liked(user, photos)
    recounts = await asyncio.gather(*(recount(stores, SetKind.LIKERS, photo) for photo in photos))
    for item, photo, likers in zip(some, photos, recounts, strict=True):
        if likers.differs_from(item["like_count"]):
            findings.append(Finding(Kind.LIKES, user, photo, likers.beside(item["like_count"])))
        if item["liked"] != (photo in liked):
            detail = f"shown {item['liked']}, row {photo in liked}"
            findings.append(Finding(Kind.LIKED, user, photo, detail))
    return findings, 2 * len(some)
