"""Compare both tables of follow edges: an edge in one must be in the other."""

from collections.abc import Mapping

from schemas.ids import UserId
from shutterline.check.report import Finding, FindingKind
from shutterline.check.stores import CheckedStores
from streams.core.counted import Membership
from streams.core.edges import OutgoingEdge
from streams.jobs.audit.drift import Drift
from streams.jobs.audit.edges import EdgesLook

# A giant has too many followers to read a row for each; some of them are a sample of all.
EDGES_A_USER_MAX = 1_000
LACKS = {
    Drift.FOLLOWING: "in followers, not in following",
    Drift.FOLLOWERS: "in following, not in followers",
}


async def check_edges(
    stores: CheckedStores, user: UserId, followers: Mapping[int, Membership]
) -> tuple[list[Finding], int]:
    """Findings on the edges from and to the user, and how many were compared.

    `followers` are the members of the user's set of followers by its rows.
    """
    look = EdgesLook(stores.outgoing_edges, stores.counted_sets, EDGES_A_USER_MAX, buckets_max=1, seed=0)
    following = await stores.outgoing_edges.following(user)
    outgoing = await look.outgoing(OutgoingEdge.FOLLOWING, user, list(following))
    incoming = await look.incoming(OutgoingEdge.FOLLOWING, user, followers)
    findings = [
        *[Finding(FindingKind.EDGES, user, each.owner, LACKS[each.drift]) for each in outgoing.differences],
        *[Finding(FindingKind.EDGES, user, each.member, LACKS[each.drift]) for each in incoming.differences],
    ]
    return findings, outgoing.graph + incoming.graph
