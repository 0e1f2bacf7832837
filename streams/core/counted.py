"""Counted sets: members of an owner, spread over buckets, with each bucket's exact count beside its rows.

A member is in or out as of an event's time; the later time wins, and at equal times
out wins. Folding the same changes again yields the same rows and the same count, so
an event may come twice, late and out of order.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

# How many buckets a set has at each level. Each step is 16 times the last: a set is copied at
# most four times in its life, and a page of fan-out is never less than a sixteenth full.
BUCKETS = (1, 16, 256, 4_096, 65_536)
LEVEL_MAX = len(BUCKETS) - 1
# From this level on, sets of more than 16,000, buckets of followers are kept packed, too. Lower, a page
# would be written anew for nearly every follow: that had a database of two cores time out.
PAGE_LEVEL_MIN = 2

_MASK = (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class Membership:
    """`removed` as of `time_us`, microseconds since 1970."""

    time_us: int
    removed: bool

    def beats(self, other: "Membership | None") -> bool:
        """Whether this replaces `other`: later wins, at equal times `removed` does."""
        return other is None or (self.time_us, self.removed) > (other.time_us, other.removed)


@dataclass(frozen=True, slots=True)
class Change:
    """One event on one member of one set."""

    member: int
    now: Membership


@dataclass(frozen=True, slots=True)
class Fold:
    """What a batch does to one bucket.

    `rows` are to be written; `live` is the bucket's new count; `joined` and `left` are the
    members that this batch names, by whether they are in, also when that had been written before.
    """

    rows: dict[int, Membership]
    live: int
    joined: frozenset[int]
    left: frozenset[int]


def fold(stored: Mapping[int, Membership], live: int, changes: Iterable[Change]) -> Fold:
    """Apply `changes` to the bucket's `stored` rows, which hold at least the members touched.

    `live` is the count that stands beside those rows.
    """
    rows: dict[int, Membership] = {}
    named: set[int] = set()
    for change in changes:
        named.add(change.member)
        before = rows.get(change.member) or stored.get(change.member)
        if change.now.beats(before):
            rows[change.member] = change.now
            live += _in(change.now) - _in(before)
    # A worker may have died between the rows and what follows from them (a backfill), so
    # a change that finds itself stored already counts as joining again.
    joined = frozenset(member for member in named if not (rows.get(member) or stored[member]).removed)
    return Fold(rows=rows, live=live, joined=joined, left=frozenset(named - joined))


def _in(state: Membership | None) -> int:
    return int(state is not None and not state.removed)


def bucket_of(member: int, level: int) -> int:
    """The member's bucket at `level`, from a 64-bit mix of its id (splitmix64's finaliser)."""
    mixed = member & _MASK
    mixed = (mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9 & _MASK
    mixed = (mixed ^ (mixed >> 27)) * 0x94D049BB133111EB & _MASK
    return (mixed ^ (mixed >> 31)) % BUCKETS[level]


def level_for(total: int, level: int, bucket_members_max: int) -> int:
    """The level, at least `level`, at which buckets of `bucket_members_max` on average hold `total`."""
    while level < LEVEL_MAX and total > BUCKETS[level] * bucket_members_max:
        level += 1
    return level
