"""Compare the counts that are shown with a recount of the rows, bucket by bucket."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from more_itertools import sliced

from schemas.ids import ID_MAX, PhotoId, UserId, unpack_ids
from schemas.internal import SetKind
from shutterline.check.report import Finding, FindingKind
from shutterline.check.stores import CheckedStores
from shutterline.client.feed import Json
from streams.core.counted import BUCKETS, Membership
from streams.core.sets import BucketKey
from streams.ports.edges import CountedSets

BUCKETS_A_TIME = 32
# A feed shows the likes of many photos. Those of its newest photos are recounted.
LIKES_A_USER_MAX = 20
# If an author has more photos, the list is not counted, because reading it takes too long.
AUTHOR_PHOTOS_MAX = 10_000


@dataclass(frozen=True, slots=True)
class Recount:
    """A set's stored total and its members by the rows of its current level.

    `pages_differ` counts the members that are in the rows but not in the packed pages that fan-out
    reads, or the reverse.
    """

    total: int
    members: Mapping[int, Membership]
    pages_differ: int

    def differs_from(self, shown: int) -> bool:
        return self.pages_differ > 0 or not shown == self.total == len(self.members)

    def beside(self, shown: int) -> str:
        counts = f"shown {shown}, stored total {self.total}, rows {len(self.members)}"
        return f"{counts}, {self.pages_differ} differ in their pages" if self.pages_differ else counts


async def recount(counted_sets: CountedSets, kind: SetKind, owner: int) -> Recount:
    """Count the rows of all buckets of the set's current level."""
    summary = (await counted_sets.summaries(kind, [owner]))[owner]
    members: dict[int, Membership] = {}
    pages_differ = 0
    for buckets in sliced(range(BUCKETS[summary.level]), BUCKETS_A_TIME):
        keys = [BucketKey(kind, owner, summary.level, bucket) for bucket in buckets]
        pages = await counted_sets.members(keys) if kind is SetKind.FOLLOWERS else {}
        states = await asyncio.gather(*(counted_sets.bucket(key) for key in keys))
        for key, state in zip(keys, states, strict=True):
            members |= {member: state.rows[member] for member in state.members}
            if key in pages:
                pages_differ += len(set(state.members).symmetric_difference(unpack_ids(pages[key])))
    return Recount(summary.total, members, pages_differ)


async def check_user_counts(
    stores: CheckedStores, user: UserId, shown: Json, followers: Recount
) -> tuple[list[Finding], int]:
    """Findings on what `GET /v1/users/{user_id}` shows, and how many counts were compared."""
    findings = []
    if followers.differs_from(shown["followers"]):
        findings.append(Finding(FindingKind.FOLLOWERS, user, user, followers.beside(shown["followers"])))
    following = len(await stores.outgoing_edges.following(user))
    if shown["following"] != following:
        detail = f"shown {shown['following']}, rows {following}"
        findings.append(Finding(FindingKind.FOLLOWING, user, user, detail))
    photos = await recount(stores.counted_sets, SetKind.READY_PHOTOS, user)
    listed = await _listed_photos(stores, user)
    if photos.differs_from(shown["photos"]) or listed not in (None, len(photos.members)):
        detail = f"{photos.beside(shown['photos'])}, the author's list {listed}"
        findings.append(Finding(FindingKind.PHOTOS, user, user, detail))
    return findings, 3


async def _listed_photos(stores: CheckedStores, user: UserId) -> int | None:
    """How many ready photos the author's list has; None if it is longer than `AUTHOR_PHOTOS_MAX`."""
    lists = await stores.author_photos.newest([user], below=ID_MAX, each_max=AUTHOR_PHOTOS_MAX)
    photos = lists[user]
    return sum(photo.ready for photo in photos) if len(photos) < AUTHOR_PHOTOS_MAX else None


async def check_likes(
    stores: CheckedStores, user: UserId, items: Sequence[Json]
) -> tuple[list[Finding], int]:
    """Findings on the likes of the feed's newest photos, and how many counts were compared."""
    findings = []
    newest = items[:LIKES_A_USER_MAX]
    photos = [PhotoId(int(item["photo_id"])) for item in newest]
    liked = await stores.outgoing_edges.liked(user, photos)
    recounts = await asyncio.gather(
        *(recount(stores.counted_sets, SetKind.LIKERS, photo) for photo in photos)
    )
    for item, photo, likers in zip(newest, photos, recounts, strict=True):
        if likers.differs_from(item["like_count"]):
            findings.append(Finding(FindingKind.LIKES, user, photo, likers.beside(item["like_count"])))
        if item["liked"] != (photo in liked):
            detail = f"shown {item['liked']}, row {photo in liked}"
            findings.append(Finding(FindingKind.LIKED, user, photo, detail))
        if photo in liked and user not in likers.members:
            findings.append(Finding(FindingKind.ONE_SIDED_LIKE, user, photo))
    return findings, 2 * len(newest)
