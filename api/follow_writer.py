"""Follow and unfollow with the limit on followees."""

from collections.abc import Callable
from dataclasses import replace
from http import HTTPStatus

from cachetools import TTLCache

from api.edge_writer import EdgeWriter, StoredEdge
from api.http.problems import Problem, too_many, unavailable
from api.reading.cached_reads import CachedReads
from schemas.facts import UserFollowed, UserUnfollowed
from schemas.ids import UserId
from streams.core.counted import Membership
from streams.core.edges import FollowingCounts, OutgoingEdge
from streams.core.limits.follow_limit import FollowLimit, Verdict
from streams.ports.cache import Cache
from streams.stores.cache.following import cache_follows
from streams.stores.cache.keys import following_key
from streams.stores.cache.large_reads import OneAtATime

# Most follows need no count: for this long after one, the process adds its own follows to it.
ESTIMATE_S = 5.0
ESTIMATES_MAX = 10_000
# Removed rows expire one by one, over weeks; asking more often has no use.
REMOVED_RETRY_S = 3_600


class FollowWriter:
    """Changes whom a user follows. New follows of one user are handled one at a time."""

    def __init__(
        self,
        *,
        edges: EdgeWriter,
        reads: CachedReads,
        cache: Cache,
        limit: FollowLimit,
        turns: OneAtATime,
        clock_s: Callable[[], float],
    ) -> None:
        self._edges = edges
        self._reads = reads
        self._cache = cache
        self._limit = limit
        self._turns = turns
        self._estimates: TTLCache[UserId, FollowingCounts] = TTLCache(ESTIMATES_MAX, ESTIMATE_S, clock_s)

    async def follow(self, user: UserId, followee: UserId) -> None:
        """Follow the user; a repeated follow reads only this edge, however many followees there are.

        Raises:
            Problem: 409 or 429 at a limit, 503 if the count is not known.
            StoreUnavailable: It is unknown whether the change was made.
        """
        estimate = self._estimates.get(user)
        stored = await self._edges.stored(OutgoingEdge.FOLLOWING, user, followee)
        if stored.is_added:
            await self._add(user, followee, stored)
            return
        async with self._turns.turn(following_key(user)) as waited:
            # Another follow of this user, perhaps of the same followee, may have ended since the read. Each
            # leaves a new estimate.
            if waited or self._estimates.get(user) is not estimate:
                stored = await self._edges.stored(OutgoingEdge.FOLLOWING, user, followee)
                if stored.is_added:
                    await self._add(user, followee, stored)
                    return
            counts, verdict = await self._judge(user, creates_row=stored.row is None)
            self._refuse(counts, verdict)
            time_us = await self._add(user, followee, stored)
            self._estimates[user] = replace(counts, followees=counts.followees + 1)
            if verdict is Verdict.ALLOWED_IF_VERIFIED:
                await self._verify(user, followee, time_us)

    async def unfollow(self, user: UserId, followee: UserId) -> None:
        """Stop following the user, if there is anything stored of it.

        Raises:
            StoreUnavailable: It is unknown whether the change was made.
        """
        data = UserUnfollowed(follower_id=user, followee_id=followee)
        time_us = await self._edges.remove(OutgoingEdge.FOLLOWING, user, followee, data)
        if time_us is not None:
            await self._update_cache(user, followee, Membership(time_us, removed=True))

    async def _add(self, user: UserId, followee: UserId, stored: StoredEdge) -> int:
        data = UserFollowed(follower_id=user, followee_id=followee)
        time_us = await self._edges.add(OutgoingEdge.FOLLOWING, user, followee, data, stored)
        await self._update_cache(user, followee, Membership(time_us, removed=False))
        return time_us

    async def _update_cache(self, user: UserId, followee: UserId, state: Membership) -> None:
        # Law: no ghost. Without this, the next page would read the old cached set. If it fails, the
        # response is 503.
        seen_ms = self._edges.clock_us() // 1_000
        await cache_follows(self._cache, [(user, followee, state)], seen_ms=seen_ms)

    async def _judge(self, user: UserId, *, creates_row: bool) -> tuple[FollowingCounts, Verdict]:
        estimate = self._estimates.get(user)
        if estimate is not None:
            verdict = self._limit.verdict(estimate, creates_row=creates_row)
            if verdict in (Verdict.ALLOWED, Verdict.ALLOWED_IF_VERIFIED):
                return estimate, verdict
        counts = await self._counts(user)
        return counts, self._limit.verdict(counts, creates_row=creates_row)

    def _refuse(self, counts: FollowingCounts, verdict: Verdict) -> None:
        if verdict is Verdict.TOO_MANY_FOLLOWEES:
            raise self._too_many(counts.followees)
        if verdict is Verdict.TOO_MANY_REMOVED:
            raise too_many(
                f"You have unfollowed {counts.removed} users lately; {self._limit.removed_rows_max} are the"
                " most.",
                REMOVED_RETRY_S,
            )

    async def _verify(self, user: UserId, followee: UserId, time_us: int) -> None:
        """Take the follow back if other processes have reached the limit at the same time."""
        counts = self._estimates[user] = await self._counts(user)
        if self._limit.is_exceeded(counts):
            data = UserUnfollowed(follower_id=user, followee_id=followee)
            await self._edges.take_back(OutgoingEdge.FOLLOWING, user, followee, data, time_us=time_us)
            await self._update_cache(user, followee, Membership(time_us, removed=True))
            self._estimates.pop(user, None)  # It may have expired meanwhile.
            raise self._too_many(self._limit.followees_max)

    def _too_many(self, followees: int) -> Problem:
        return Problem(
            HTTPStatus.CONFLICT, f"You follow {followees} users; {self._limit.followees_max} are the most."
        )

    async def _counts(self, user: UserId) -> FollowingCounts:
        counts = await self._reads.following_counts(user)
        if counts.unknown:
            raise unavailable("How many users you follow is not known now; try again.")
        return counts.values[user]
