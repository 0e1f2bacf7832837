"""Look at both sides of a user's edges, and at the counts and pages of the user's sets."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from random import Random

from schemas.ids import UserId, unpack_ids
from schemas.internal import SetKind
from streams.core.counted import BUCKETS, Membership, bucket_of
from streams.core.edges import OutgoingEdge
from streams.core.sets import BucketKey, BucketState, SetSummary, StoredPage
from streams.gathering import gather_bounded
from streams.jobs.audit.drift import Compared, Difference, Drift, compare_edge, is_in
from streams.ports.edges import CountedSets, OutgoingEdges

SETS = {OutgoingEdge.FOLLOWING: SetKind.FOLLOWERS, OutgoingEdge.LIKES: SetKind.LIKERS}
READS_AT_ONCE = 4
ROWS_MAX = 2_000  # Of a set that are returned, in whole buckets.
TOTAL = -1  # As the member of a difference: the total, and not the count of a bucket.


@dataclass(frozen=True, slots=True)
class SetLook:
    """What a look at a set found. `rows` are those of `buckets`, which are some of its level."""

    compared: Compared
    total: int
    level: int
    buckets: Collection[int]
    rows: Mapping[int, Membership]


@dataclass(frozen=True, slots=True)
class EdgesLook:
    """Compares at most `edges_max` edges of each kind in each direction, and `buckets_max` buckets of a set.

    Which ones, `seed` decides.
    """

    outgoing_edges: OutgoingEdges
    counted_sets: CountedSets
    edges_max: int
    buckets_max: int
    seed: int

    async def outgoing(self, kind: OutgoingEdge, member: UserId, owners: Sequence[int]) -> Compared:
        """Compare edges of `member`, which has rows of them, with the sets of their owners."""
        owners = self._sample(owners, member)
        incoming = await self._incoming(SETS[kind], member, owners)
        lacking = [owner for owner in owners if not is_in(incoming[owner])]

        async def compare(owner: int) -> Difference | None:
            outgoing = await self.outgoing_edges.state(kind, member, owner)
            return compare_edge(kind, member, owner, outgoing, incoming[owner])

        found = await gather_bounded(lacking, compare, at_once=READS_AT_ONCE)
        return Compared(graph=len(owners), differences=tuple(filter(None, found)))

    async def _incoming(
        self, kind: SetKind, member: UserId, owners: Sequence[int]
    ) -> Mapping[int, Membership | None]:
        summaries = await self.counted_sets.summaries(kind, owners)
        levels = {owner: summary.level for owner, summary in summaries.items()}
        keys = {
            owner: BucketKey(kind, owner, level, bucket_of(member, level)) for owner, level in levels.items()
        }
        buckets = await self.counted_sets.read({key: [member] for key in keys.values()}, totals={})
        return {owner: buckets[key].rows.get(member) for owner, key in keys.items()}

    async def set_of(self, kind: SetKind, owner: int) -> SetLook:
        """Compare the counts and pages of at most `buckets_max` buckets with their rows, and the set's total.

        What is written meanwhile is not compared.
        """
        summary = await self._summary(kind, owner)
        level, rows, looked = summary.level, dict[int, Membership](), set[int]()
        count = BUCKETS[level]
        chosen = Random(f"{self.seed} {owner}").sample(range(count), min(count, self.buckets_max))
        compared, total = Compared(), 0

        async def bucket(number: int) -> None:
            nonlocal compared, total
            key = BucketKey(kind, owner, level, number)
            state, stored = await self.counted_sets.bucket(key), await self.counted_sets.stored_page(key)
            compared += _compare_bucket(key, state, stored)
            total += state.count
            if len(rows) < ROWS_MAX:
                rows.update(state.rows)
                looked.add(number)

        await gather_bounded(chosen, bucket, at_once=READS_AT_ONCE)
        now = await self._summary(kind, owner)
        if len(chosen) == count and now.stamp == summary.stamp and now.total != total:
            compared += Compared(
                1, 0, (Difference(Drift.COUNTS, owner, TOTAL, BucketKey(kind, owner, level, 0)),)
            )
        return SetLook(compared, now.total, level, frozenset(looked), rows)

    async def incoming(self, kind: OutgoingEdge, owner: int, rows: Mapping[int, Membership]) -> Compared:
        """Compare rows of the owner's set with the rows of their members."""
        members = self._sample([member for member, state in rows.items() if not state.removed], owner)

        async def compare(member: int) -> Difference | None:
            outgoing = await self.outgoing_edges.state(kind, UserId(member), owner)
            return compare_edge(kind, UserId(member), owner, outgoing, rows[member])

        found = await gather_bounded(members, compare, at_once=READS_AT_ONCE)
        return Compared(graph=len(members), differences=tuple(filter(None, found)))

    async def _summary(self, kind: SetKind, owner: int) -> SetSummary:
        return (await self.counted_sets.summaries(kind, [owner]))[owner]

    def _sample(self, ids: Sequence[int], of: int) -> Sequence[int]:
        return Random(f"{self.seed} {of}").sample(ids, min(len(ids), self.edges_max))


def _compare_bucket(key: BucketKey, state: BucketState, stored: StoredPage) -> Compared:
    """Compare a bucket's count and page with its rows, unless it was written between the two reads."""
    if stored.count_stamp != state.stamp:
        return Compared()
    differences = []
    members = set(state.members)
    if state.count != len(members):
        differences.append(Difference(Drift.COUNTS, key.owner, key.bucket, key))
    if stored.page is not None and set(unpack_ids(stored.page)) != members:
        differences.append(Difference(Drift.PAGES, key.owner, key.bucket, key))
    return Compared(graph=1, differences=tuple(differences))
