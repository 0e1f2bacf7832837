"""Compare both tables of follow edges: an edge in one must be in the other."""

import asyncio
from collections.abc import Sequence
from itertools import islice

from more_itertools import sliced

from schemas.ids import UserId
from schemas.internal import SetKind
from shutterline.check.report import Finding, FindingKind
from shutterline.check.stores import CheckedStores
from streams.core.counted import bucket_of
from streams.core.edges import OutgoingEdge
from streams.core.sets import BucketKey
from streams.ports.edges import CountedSets, OutgoingEdges

# A giant has too many followers to read a row for each. The first of them are a sample of all.
EDGES_A_USER_MAX = 1_000
EDGES_A_TIME = 100


async def check_edges(
    stores: CheckedStores, user: UserId, followers: Sequence[int]
) -> tuple[list[Finding], int]:
    """Findings on the edges from and to the user, and how many were compared.

    `followers` are the members of the user's set of followers by its rows.
    """
    sample = followers[:EDGES_A_USER_MAX]
    following = await stores.outgoing_edges.following(user)
    followees = list(islice(following, EDGES_A_USER_MAX))
    findings = [
        *[
            Finding(FindingKind.EDGES, user, follower, "in followers, not in following")
            for follower in await _without_outgoing_edge(stores.outgoing_edges, user, sample)
        ],
        *[
            Finding(FindingKind.EDGES, user, followee, "in following, not in followers")
            for followee in await _without_incoming_edge(stores.counted_sets, user, followees)
        ],
    ]
    return findings, len(sample) + len(followees)


async def _without_outgoing_edge(
    outgoing_edges: OutgoingEdges, user: UserId, followers: Sequence[int]
) -> list[int]:
    """Those of `followers` who have no outgoing follow edge to the user."""
    missing: list[int] = []
    for batch in sliced(followers, EDGES_A_TIME):
        states = await asyncio.gather(
            *(outgoing_edges.state(OutgoingEdge.FOLLOWING, UserId(follower), user) for follower in batch)
        )
        missing += [
            follower for follower, state in zip(batch, states, strict=True) if state is None or state.removed
        ]
    return missing


async def _without_incoming_edge(
    counted_sets: CountedSets, user: UserId, followees: Sequence[UserId]
) -> list[int]:
    """Those of `followees` whose set of followers does not have the user."""
    missing: list[int] = []
    for batch in sliced(followees, EDGES_A_TIME):
        summaries = await counted_sets.summaries(SetKind.FOLLOWERS, batch)
        keys = {
            followee: BucketKey(
                SetKind.FOLLOWERS,
                followee,
                summaries[followee].level,
                bucket_of(user, summaries[followee].level),
            )
            for followee in batch
        }
        buckets = await counted_sets.read({key: [user] for key in keys.values()}, totals={})
        states = {followee: buckets[key].rows.get(user) for followee, key in keys.items()}
        missing += [followee for followee, state in states.items() if state is None or state.removed]
    return missing
