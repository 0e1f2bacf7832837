"""Compare what the API serves with what Cassandra's rows say: at quiescence the difference is 0.

Invariants: every feed equals the one computed from the rows; no photo twice, none out of
order; every count shown is the number of rows; both tables of an edge agree.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from schemas.ids import UserId
from schemas.internal import SetKind
from shutterline.check.counts import check_likes, check_user_counts, recount
from shutterline.check.edges import check_edges
from shutterline.check.feeds import compare_feed, expected_feed
from shutterline.check.report import Finding, Found, Report
from shutterline.client.feed import FeedReader, TokenOf, feed_client
from streams.gathering import gather_bounded
from streams.ports.groups import Stores
from streams.settings import Settings

DEPTH_DEFAULT = 600
USERS_IN_FLIGHT = 4
# A feed that says `complete` promises photos that became ready more than 5 s ago; a second
# after that a difference is no longer one of events under way.
LOOK_AGAIN_S = 6.0


async def check_users(
    settings: Settings,
    stores: Stores,
    users: Sequence[UserId],
    *,
    token_of: TokenOf,
    depth: int = DEPTH_DEFAULT,
    progress: Callable[[int], None] = lambda _: None,
) -> Report:
    """Check these users' feeds (down to `depth` photos), counts and edges.

    `progress` hears how many more users are done.

    Raises:
        StoreUnavailable: A store or the API did not answer.
        ApiRefused: The API refused a request.
    """
    async with feed_client(settings, token_of) as client:
        return await check_through(client, stores, users, depth=depth, progress=progress)


async def check_through(
    client: FeedReader,
    stores: Stores,
    users: Sequence[UserId],
    *,
    depth: int = DEPTH_DEFAULT,
    progress: Callable[[int], None] = lambda _: None,
    look_again_s: float = LOOK_AGAIN_S,
) -> Report:
    """`check_users` over a client that is there already.

    While events are under way a first look may find what a second does not, so only what
    is found twice, `look_again_s` apart, counts.
    """
    checker = _Checker(stores, client, depth, look_again_s)

    async def check(user: UserId) -> Found:
        found = await checker.check(user)
        progress(1)
        return found

    found = await gather_bounded(users, check, at_once=USERS_IN_FLIGHT)
    return Report.of(found, looked_again=checker.looked_again)


@dataclass(slots=True)
class _Checker:
    stores: Stores
    client: FeedReader
    depth: int
    look_again_s: float
    looked_again: int = 0

    async def check(self, user: UserId) -> Found:
        first = await self._look(user)
        if not first.findings:
            return first
        self.looked_again += 1
        await asyncio.sleep(self.look_again_s)
        return (await self._look(user)).still(first)

    async def _look(self, user: UserId) -> Found:
        expected = await expected_feed(self.stores, user, self.depth)
        walk = await self.client.walk(user, depth=self.depth)
        findings: list[Finding] = list(compare_feed(user, walk, expected))
        shown = await self.client.settled(f"/v1/users/{user}", user)
        followers = await recount(self.stores, SetKind.FOLLOWERS, user)
        of_user, counts = await check_user_counts(self.stores, user, shown, followers)
        of_likes, likes = await check_likes(self.stores, user, walk.items)
        of_edges, edges = await check_edges(self.stores, user, followers.members)
        findings += [*of_user, *of_likes, *of_edges]
        return Found(tuple(findings), len(walk.items), counts + likes, edges)
