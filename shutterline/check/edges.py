"""Compare both tables of follow edges: each edge that is in one must be in the other."""

import asyncio
from collections.abc import Sequence

from schemas.ids import UserId
from schemas.internal import SetKind
from shutterline.check.report import Finding, Kind
from streams.core.counted import bucket_of
from streams.core.edges import OutgoingEdge
from streams.core.sets import BucketKey
from streams.core.slices import slices
from streams.ports.groups import Stores

# A giant has more followers than are worth a read each; the first of the rows stand for all.
EDGES_A_USER_MAX = 1_000
EDGES_A_TIME = 100


async def check_edges(stores: Stores, user: UserId, followers: Sequence[int]) -> tuple[list[Finding], int]:
    """Findings on the edges from and to the user, and how many were compared.

    `followers` are the members of the user's set as its rows say.
    """
    some = followers[:EDGES_A_USER_MAX]
    following = await stores.outgoing_edges.following(user)
    followees = [each.followee_id for each in following[:EDGES_A_USER_MAX]]
    findings = [
        *[
            Finding(Kind.EDGES, user, follower, "in followers, not in following")
            for follower in await _without_own_row(stores, user, some)
        ],
        *[
            Finding(Kind.EDGES, user, followee, "in following, not in followers")
            for followee in await _without_follower_row(stores, user, followees)
        ],
    ]
    return findings, len(some) + len(followees)


async def _without_own_row(stores: Stores, user: UserId, followers: Sequence[int]) -> list[int]:
    """Those of `followers` whose own side does not say that they follow the user."""
    missing: list[int] = []
    for some in slices(followers, EDGES_A_TIME):
        states = await asyncio.gather(
            *(stores.outgoing_edges.state(OutgoingEdge.FOLLOWING, UserId(each), user) for each in some)
        )
        missing += [each for each, state in zip(some, states, strict=True) if state is None or state.removed]
    return missing


async def _without_follower_row(stores: Stores, user: UserId, followees: Sequence[UserId]) -> list[int]:
    """Those of `followees` whose set of followers does not have the user."""
    missing: list[int] = []
    for some in slices(followees, EDGES_A_TIME):
        heads = await stores.counted_sets.summaries(SetKind.FOLLOWERS, some)
        keys = {
            each: BucketKey(SetKind.FOLLOWERS, each, heads[each].level, bucket_of(user, heads[each].level))
            for each in some
        }
        buckets = await stores.counted_sets.read({key: [user] for key in keys.values()}, totals={})
        states = {each: buckets[key].rows.get(user) for each, key in keys.items()}
        missing += [each for each, state in states.items() if state is None or state.removed]
    return missing
