"""Follow and unfollow with the limit on followees."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from http import HTTPStatus

from cachetools import TLRUCache

from api.edge_writer import EdgeWriter, StoredEdge
from api.http.problems import Problem, too_many, unavailable
from schemas.facts import UserFollowed, UserUnfollowed
from schemas.ids import UserId
from streams.core.counted import Membership
from streams.core.edges import FollowingCounts, OutgoingEdge
from streams.core.limits.follow_limit import FollowLimit, Verdict
from streams.ports.cache import Cache
from streams.stores.cache.cached_reads import CachedReads
from streams.stores.cache.following import cache_follows
from streams.stores.cache.keys import following_key
from streams.stores.cache.large_reads import OneAtATime

# Most follows need no count: for this long after a count, the process adds its own follows to it.
ESTIMATE_S = 5.0
ESTIMATES_MAX = 10_000
# Removed rows expire one by one, over weeks; asking more often has no use.
REMOVED_RETRY_S = 3_600


@dataclass(frozen=True, slots=True)
class _Estimate:
    """What was counted at `counted_s`, and the follows of this process since then."""

    counts: FollowingCounts
    counted_s: float


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
        self._clock_s = clock_s
        # By the time of the count: other processes may have written since then, however often this one has.
        self._estimates: TLRUCache[UserId, _Estimate] = TLRUCache(
            ESTIMATES_MAX, lambda _user, estimate, _now_s: estimate.counted_s + ESTIMATE_S, clock_s
        )

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
            estimate, verdict = await self._judge(user, creates_row=stored.row is None)
            self._refuse(estimate.counts, verdict)
            time_us = await self._add(user, followee, stored)
            estimate = self._estimates[user] = _with_followees(estimate, estimate.counts.followees + 1)
            if verdict is Verdict.ALLOWED_IF_VERIFIED:
                await self._verify(user, followee, time_us, estimate)

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

    async def _judge(self, user: UserId, *, creates_row: bool) -> tuple[_Estimate, Verdict]:
        estimate = self._estimates.get(user)
        if estimate is not None:
            verdict = self._limit.verdict(estimate.counts, creates_row=creates_row)
            if verdict in (Verdict.ALLOWED, Verdict.ALLOWED_IF_VERIFIED):
                return estimate, verdict
        counted_s = self._clock_s()
        counts = await self._reads.following_counts(user)
        if counts.unknown:
            raise _uncounted()
        estimate = _Estimate(counts.values[user], counted_s)
        return estimate, self._limit.verdict(estimate.counts, creates_row=creates_row)

    def _refuse(self, counts: FollowingCounts, verdict: Verdict) -> None:
        if verdict is Verdict.TOO_MANY_FOLLOWEES:
            raise self._too_many(counts.followees)
        if verdict is Verdict.TOO_MANY_REMOVED:
            raise too_many(
                f"You have unfollowed {counts.removed} users lately; {self._limit.removed_rows_max} are the"
                " most.",
                REMOVED_RETRY_S,
            )

    async def _verify(self, user: UserId, followee: UserId, time_us: int, estimate: _Estimate) -> None:
        """Take the follow back if other processes have reached the limit at the same time."""
        # Each process has brought its follow into the cached followees before, so at least one sees both.
        following = await self._reads.following(user)
        if following.unknown:
            raise _uncounted()
        estimate = self._estimates[user] = _with_followees(estimate, len(following.values[user]))
        if self._limit.is_exceeded(estimate.counts):
            data = UserUnfollowed(follower_id=user, followee_id=followee)
            await self._edges.take_back(OutgoingEdge.FOLLOWING, user, followee, data, time_us=time_us)
            await self._update_cache(user, followee, Membership(time_us, removed=True))
            self._estimates.pop(user, None)  # It may have expired meanwhile.
            raise self._too_many(self._limit.followees_max)

    def _too_many(self, followees: int) -> Problem:
        return Problem(
            HTTPStatus.CONFLICT, f"You follow {followees} users; {self._limit.followees_max} are the most."
        )


def _with_followees(estimate: _Estimate, followees: int) -> _Estimate:
    return replace(estimate, counts=replace(estimate.counts, followees=followees))


def _uncounted() -> Problem:
    return unavailable("How many users you follow is not known now; try again.")
