"""Compare what the API serves with what Cassandra's rows say: at quiescence the difference is 0.

Invariants: every feed equals the one computed from the rows; no photo twice, none out of
order; every count shown is the number of rows; both tables of an edge agree; no photo waits for ever.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from schemas.ids import UserId
from schemas.internal import SetKind
from shutterline.check.counts import check_likes, check_user_counts, recount
from shutterline.check.edges import check_edges
from shutterline.check.feeds import compare_feed, expected_feed
from shutterline.check.report import CheckedUser, CheckReport, Finding
from shutterline.check.stores import CheckedStores
from shutterline.check.waiting import check_waiting
from shutterline.client.feed import FeedReader, TokenOf, feed_client
from streams.clock import unix_ms
from streams.gathering import gather_bounded
from streams.settings import ApiSettings

DEPTH_DEFAULT = 600
USERS_IN_FLIGHT = 4
# A feed that says `complete` promises the photos that became ready more than 5 s ago. After one
# second more, a difference cannot come from events that are still under way.
RECHECK_S = 6.0
# An hour for the upload, ten minutes for an original that is not there, and five more.
WAITING_S_MAX = 75 * 60


async def check_users(
    settings: ApiSettings,
    stores: CheckedStores,
    users: Sequence[UserId],
    *,
    token_of: TokenOf,
    waiting_s_max: int = WAITING_S_MAX,
    depth: int = DEPTH_DEFAULT,
    progress: Callable[[int], None] = lambda _: None,
) -> CheckReport:
    """Check these users' feeds (down to `depth` photos), counts and edges.

    `progress` is called with 1 for each user who is done.

    Raises:
        StoreUnavailable: A store or the API did not answer.
        ApiRefused: The API refused a request.
    """
    async with feed_client(settings, token_of) as client:
        return await check_through(
            client, stores, users, waiting_s_max=waiting_s_max, depth=depth, progress=progress
        )


async def check_through(
    client: FeedReader,
    stores: CheckedStores,
    users: Sequence[UserId],
    *,
    waiting_s_max: int = WAITING_S_MAX,
    depth: int = DEPTH_DEFAULT,
    progress: Callable[[int], None] = lambda _: None,
    clock_ms: Callable[[], int] = unix_ms,
    recheck_s: float = RECHECK_S,
) -> CheckReport:
    """Do what `check_users` does, with the given client.

    While events are under way, a first look may find a difference that a second one does not find.
    So only what is found twice, `recheck_s` apart, counts.
    """
    checker = _Checker(stores, client, depth, recheck_s, waiting_s_max, clock_ms)

    async def check(user: UserId) -> CheckedUser:
        checked = await checker.check(user)
        progress(1)
        return checked

    checked = await gather_bounded(users, check, at_once=USERS_IN_FLIGHT)
    return CheckReport.of(checked, rechecked=checker.rechecked)


@dataclass(slots=True)
class _Checker:
    stores: CheckedStores
    client: FeedReader
    depth: int
    recheck_s: float
    waiting_s_max: int
    clock_ms: Callable[[], int]
    rechecked: int = 0

    async def check(self, user: UserId) -> CheckedUser:
        first = await self._look(user)
        if not first.findings:
            return first
        self.rechecked += 1
        await asyncio.sleep(self.recheck_s)
        return (await self._look(user)).confirming(first)

    async def _look(self, user: UserId) -> CheckedUser:
        expected = await expected_feed(self.stores, user, self.depth)
        feed = await self.client.walk(user, depth=self.depth)
        findings: list[Finding] = list(compare_feed(user, feed, expected))
        shown = await self.client.settled(f"/v1/users/{user}", user)
        followers = await recount(self.stores.counted_sets, SetKind.FOLLOWERS, user)
        of_user, counts = await check_user_counts(self.stores, user, shown, followers)
        of_likes, likes = await check_likes(self.stores, user, feed.items)
        of_edges, edges = await check_edges(self.stores, user, followers.members)
        waiting, processing = await check_waiting(
            self.stores, user, waiting_s_max=self.waiting_s_max, now_ms=self.clock_ms()
        )
        findings += [*of_user, *of_likes, *of_edges, *waiting]
        return CheckedUser(tuple(findings), len(feed.items), counts + likes, edges, processing)
