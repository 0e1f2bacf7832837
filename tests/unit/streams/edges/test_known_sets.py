"""What the writer of counted sets remembers, and that its memory is bounded."""

from collections.abc import Sequence

from schemas.internal import SetKind
from streams.core.counted import Fold, Membership
from streams.core.sets import BucketKey, BucketState, SetSummary
from streams.edges.known_sets import KnownSets

ROW = Membership(time_us=1, removed=False)


def remember(known: KnownSets, owner: int, members: Sequence[int], *, is_whole: bool = True) -> None:
    """Remember a set of `members` as it is after they joined."""
    summary = SetSummary(level=0, total=len(members))
    state = BucketState({}, 0, is_whole=is_whole)
    rows = dict.fromkeys(members, ROW)
    fold = Fold(rows=rows, count=len(members), joined=frozenset(members), left=frozenset())
    folds = {BucketKey(SetKind.LIKERS, owner, 0, 0): (state, fold)}
    known.remember({(SetKind.LIKERS, owner): summary}, folds)


def known_owners(known: KnownSets) -> list[int]:
    return [owner for owner in range(10) if known.summary((SetKind.LIKERS, owner)) is not None]


def known_rows(known: KnownSets, owner: int) -> list[int] | None:
    key = BucketKey(SetKind.LIKERS, owner, 0, 0)
    state = known.states([key]).get(key)
    return None if state is None else sorted(state.rows)


def test_the_least_recently_used_set_is_forgotten_first() -> None:
    """Reading a set counts as a use."""
    known = KnownSets(known_max=6, rows_max=3)
    for owner in (1, 2, 3):
        remember(known, owner, [7])
    known.summary((SetKind.LIKERS, 1))
    remember(known, 4, [7])

    assert known_owners(known) == [1, 3, 4]


def test_a_set_weighs_itself_and_its_rows() -> None:
    """Two sets of two rows weigh six together, the limit; a third set evicts the oldest one."""
    known = KnownSets(known_max=6, rows_max=3)
    remember(known, 1, [7, 8])
    remember(known, 2, [7, 8])
    both = known_owners(known)
    remember(known, 3, [7])

    assert both == [1, 2]
    assert known_owners(known) == [2, 3]


def test_a_set_that_is_remembered_again_weighs_once() -> None:
    """Its former weight is subtracted, also if the set has grown or shrunk."""
    known = KnownSets(known_max=6, rows_max=3)
    remember(known, 1, [7])
    for _ in range(5):
        remember(known, 2, [7])
        remember(known, 2, [7, 8, 9])

    assert known_owners(known) == [1, 2]
    assert known_rows(known, 2) == [7, 8, 9]


def test_a_set_too_heavy_for_the_memory_is_forgotten() -> None:
    """Its new state does not fit, and its old state is outdated, so neither is remembered."""
    known = KnownSets(known_max=3, rows_max=9)
    remember(known, 1, [7])
    remember(known, 1, [7, 8, 9])

    assert known_owners(known) == []


def test_rows_of_larger_or_partly_read_sets_are_not_remembered() -> None:
    """Their summaries are remembered."""
    known = KnownSets(known_max=100, rows_max=3)
    remember(known, 1, [6, 7, 8])
    remember(known, 2, [6, 7, 8, 9])
    remember(known, 3, [6], is_whole=False)

    assert known_owners(known) == [1, 2, 3]
    assert known_rows(known, 1) == [6, 7, 8]
    assert known_rows(known, 2) is None
    assert known_rows(known, 3) is None


def test_nothing_is_known_after_all_is_forgotten() -> None:
    """`forget_all` drops both the sets and the bucket counts."""
    known = KnownSets(known_max=100, rows_max=3)
    remember(known, 1, [7])
    known.remember_bucket_counts((SetKind.LIKERS, 2), 1, {0: 5})
    known.forget_all()

    assert known_owners(known) == []
    assert known.bucket_counts((SetKind.LIKERS, 2), 1) is None
