"""Audit some users: look, look again once the logs are applied, repair what differs still, and look whether
that helped.

Events are on their way at every moment, so one look finds differences that a later one does not. What was
found before everything in the logs was applied, and is found after it, is drift.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from schemas.ids import UserId, first_id_at
from schemas.internal import SetKind
from streams.clock import unix_ms
from streams.core.edges import OutgoingEdge
from streams.core.eras import era_of
from streams.gathering import gather_bounded
from streams.jobs.audit.drift import Compared, Difference
from streams.jobs.audit.edges import EdgesLook
from streams.jobs.audit.photos import PhotosLook
from streams.jobs.audit.repairs import Repairs
from streams.jobs.audit.timelines import TimelinesLook
from streams.ports.edges import OutgoingEdges
from streams.ports.groups import AuditStores
from streams.settings import AuditSettings

USERS_AT_ONCE = 4
# First as of the event, then as of the look after that.
TRIES = 2
LIKED_PHOTOS_MAX = 10  # Of an author's newest photos, the likers are compared.
# Of one user at once; later passes find the others. In a disaster each of 10,000 users has that many.
DIFFERENCES_A_USER_MAX = 20
# The differences of each user.
Found: TypeAlias = Mapping[UserId, tuple[Difference, ...]]


@dataclass(frozen=True, slots=True)
class Audited:
    """What an audit of some users found. `found` is drift, of which `left` could not be repaired.

    `is_judged` is false if the logs were not applied in time: nothing was found and nothing repaired.
    """

    users: int = 0
    graph: int = 0
    timelines: int = 0
    found: tuple[Difference, ...] = ()
    left: tuple[Difference, ...] = ()
    is_judged: bool = True

    def __add__(self, other: "Audited") -> "Audited":
        return Audited(
            self.users + other.users,
            self.graph + other.graph,
            self.timelines + other.timelines,
            self.found + other.found,
            self.left + other.left,
            self.is_judged and other.is_judged,
        )


@dataclass(frozen=True, slots=True)
class Auditor:
    """`applied` waits until the logs are applied, and returns whether they are. No `repairs`: only look."""

    outgoing_edges: OutgoingEdges
    edges: EdgesLook
    photos: PhotosLook
    timelines: TimelinesLook
    applied: Callable[[], Awaitable[bool]]
    repairs: Repairs | None
    clock_ms: Callable[[], int] = unix_ms

    async def audit(self, users: Sequence[UserId]) -> Audited:
        """Look at these users, and repair what differs.

        Raises:
            StoreUnavailable: Some of it may be repaired; call it again.
        """
        looks = await self._look(users)
        compared = sum(looks.values(), Compared())
        audited = Audited(len(users), compared.graph, compared.timelines)
        suspected = {user: look.differences for user, look in looks.items() if look.differences}
        if not suspected:
            return audited
        drift = await self._still(suspected)
        if drift is None:
            return replace(audited, is_judged=False)
        left = drift if self.repairs is None else await self._repair(self.repairs, drift)
        return replace(audited, found=_all(drift), left=_all(left))

    async def _repair(self, repairs: Repairs, drift: Found) -> Found:
        """Return what is left."""
        looked_us: int | None = None
        for _ in range(TRIES):
            if drift:
                await repairs.repair(_all(drift), as_of_us=looked_us)
                # What changes from now on is later than the next try, and wins.
                looked_us = self.clock_ms() * 1_000
                left = await self._still(drift)
                if left is None:
                    break  # It is not known what is left; the next audit finds it.
                drift = left
        return drift

    async def _still(self, found: Found) -> Found | None:
        """Return what still differs once everything in the logs is applied; None if that takes too long."""
        if not await self.applied():
            return None
        looks = await self._look(list(found))
        return {
            user: still
            for user, look in looks.items()
            if (still := tuple(each for each in look.differences if each in found[user]))
        }

    async def _look(self, users: Sequence[UserId]) -> dict[UserId, Compared]:
        looks = await gather_bounded(users, self._look_at, at_once=USERS_AT_ONCE)
        return dict(zip(users, map(_bounded, looks), strict=True))

    async def _look_at(self, user: UserId) -> Compared:
        following = await self.outgoing_edges.following(user)
        listed = await self.photos.newest(user)
        followers = await self.edges.set_of(SetKind.FOLLOWERS, user)
        ready = await self.edges.set_of(SetKind.READY_PHOTOS, user)
        era = era_of(first_id_at(self.clock_ms()))
        likes = await self.outgoing_edges.newest_likes(user, era, self.edges.edges_max)
        parts = [
            await self.edges.outgoing(OutgoingEdge.FOLLOWING, user, list(following)),
            await self.edges.outgoing(OutgoingEdge.LIKES, user, likes.photos),
            followers.compared,
            await self.edges.incoming(OutgoingEdge.FOLLOWING, user, followers.rows),
            ready.compared,
            await self.photos.photos_of(user, listed, ready),
            await self.photos.pulled(user, followers.total, listed),
            await self.timelines.timeline_of(user, following),
        ]
        for photo in listed[:LIKED_PHOTOS_MAX]:
            likers = await self.edges.set_of(SetKind.LIKERS, photo.photo_id)
            parts += [
                likers.compared,
                await self.edges.incoming(OutgoingEdge.LIKES, photo.photo_id, likers.rows),
            ]
        return sum(parts, Compared())


def _bounded(look: Compared) -> Compared:
    """Leave out differences above the bound; what nothing can repair comes last, because it stays."""
    ordered = sorted(look.differences, key=lambda difference: difference.repair is None)
    return replace(look, differences=tuple(ordered[:DIFFERENCES_A_USER_MAX]))


def _all(found: Found) -> tuple[Difference, ...]:
    """Return all differences, each once: two users may have the same edge."""
    return tuple(dict.fromkeys(difference for some in found.values() for difference in some))


def make_auditor(
    stores: AuditStores,
    settings: AuditSettings,
    applied: Callable[[], Awaitable[bool]],
    repairs: Repairs | None,
    seed: int,
) -> Auditor:
    """Return an auditor; `seed` decides which edges and buckets of a user it looks at."""
    return Auditor(
        stores.outgoing_edges,
        EdgesLook(
            stores.outgoing_edges,
            stores.counted_sets,
            settings.audit_edges_a_user,
            settings.audit_buckets_a_set,
            seed,
        ),
        PhotosLook(
            stores.photos,
            stores.author_photos,
            stores.authors,
            stores.pulled_authors,
            settings.celebrity_push_followers_max,
        ),
        TimelinesLook(
            stores.timelines,
            stores.photos,
            stores.author_photos,
            stores.outgoing_edges,
            stores.pulled_authors,
            stores.undelivered,
            stores.deferred,
            settings.timeline_ids,
            settings.removed_edge_ttl_s,
        ),
        applied,
        repairs,
    )
