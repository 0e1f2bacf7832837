"""Counted sets: members of an owner, spread over buckets, with an exact count for each bucket.

An event says that a member is in or out of a set from the event's time on. The event with the later
time wins; at equal times, the removal wins. Folding the same changes twice yields the same rows and
the same count, so events may be repeated, late and out of order.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

# The number of buckets of a set at each level. Each level has 16 times the buckets of the level
# below, so a set is copied at most four times, and a fan-out page is never less than a sixteenth
# full.
BUCKETS = (1, 16, 256, 4_096, 65_536)
LEVEL_MAX = len(BUCKETS) - 1
# From this level on (sets of more than 16,000 members), a bucket of followers also has a page: its
# members, packed. At lower levels nearly every follow would rewrite a page; a database of two cores
# timed out under that load.
PAGE_LEVEL_MIN = 2
# About so many followers get a photo by one record of `fanout`. A record costs the worker as much as
# some hundred deliveries, so one for each bucket would be too many for a set that has just grown.
RECORD_MEMBERS = 1_000

_MASK = (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class Membership:
    """Whether a member was removed or added by the event of `time_us`, microseconds since 1970."""

    time_us: int
    removed: bool

    def beats(self, other: "Membership | None") -> bool:
        """Return whether this replaces `other`: the later wins, at equal times the removed one."""
        return other is None or (self.time_us, self.removed) > (other.time_us, other.removed)


@dataclass(frozen=True, slots=True)
class Change:
    """One event on one member of one set."""

    member: int
    now: Membership


@dataclass(frozen=True, slots=True)
class Fold:
    """What a batch does to one bucket.

    `rows` are to be written, and `count` is the bucket's new count. Of the members that the batch
    names, `joined` are in the set after the batch and `left` are out, even if an earlier batch
    wrote the same state already.
    """

    rows: dict[int, Membership]
    count: int
    joined: frozenset[int]
    left: frozenset[int]


def fold(stored: Mapping[int, Membership], count: int, changes: Iterable[Change]) -> Fold:
    """Apply `changes` to the bucket's `stored` rows, which include every member that is changed.

    `count` is the count that is stored with those rows.
    """
    rows: dict[int, Membership] = {}
    named: set[int] = set()
    for change in changes:
        named.add(change.member)
        before = rows.get(change.member) or stored.get(change.member)
        if change.now.beats(before):
            rows[change.member] = change.now
            count += _in(change.now) - _in(before)
    # A worker may have died after it wrote the rows but before it did what follows from them (a
    # backfill). So a member whose change is stored already counts as joined again.
    joined = frozenset(member for member in named if not (rows.get(member) or stored[member]).removed)
    return Fold(rows=rows, count=count, joined=joined, left=frozenset(named - joined))


def _in(state: Membership | None) -> int:
    return int(state is not None and not state.removed)


def bucket_of(member: int, level: int) -> int:
    """Return the member's bucket at `level`, by its id's 64-bit hash (splitmix64's finaliser)."""
    mixed = member & _MASK
    mixed = (mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9 & _MASK
    mixed = (mixed ^ (mixed >> 27)) * 0x94D049BB133111EB & _MASK
    return (mixed ^ (mixed >> 31)) % BUCKETS[level]


def bucket_ranges(total: int, level: int) -> list[range]:
    """Divide the buckets of a set of `total` members into ranges of about `RECORD_MEMBERS` members."""
    buckets = BUCKETS[level]
    length = min(buckets, max(1, buckets * RECORD_MEMBERS // max(1, total)))
    return [range(first, min(first + length, buckets)) for first in range(0, buckets, length)]


def level_for(total: int, level: int, bucket_members_max: int) -> int:
    """Return the first level, from `level` on, whose buckets have few enough members on average.

    The average must be at most `bucket_members_max`, except at the highest level.
    """
    while level < LEVEL_MAX and total > BUCKETS[level] * bucket_members_max:
        level += 1
    return level
