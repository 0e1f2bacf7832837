"""The limit on followees and on rows of former followees."""

import random

import pytest

from streams.core.edges import FollowingCounts
from streams.core.limits.follow_limit import FollowLimit, Verdict

LIMIT = FollowLimit(followees_max=3, removed_rows_max=3, verified_followees=1)


@pytest.mark.parametrize(
    ("followees", "verdict"),
    [
        (0, Verdict.ALLOWED),
        (1, Verdict.ALLOWED),
        (2, Verdict.ALLOWED_IF_VERIFIED),
        (3, Verdict.TOO_MANY_FOLLOWEES),
        (4, Verdict.TOO_MANY_FOLLOWEES),
    ],
)
def test_followees_are_limited(followees: int, verdict: Verdict) -> None:
    """Three are the most; the third is verified after it is written."""
    assert LIMIT.verdict(FollowingCounts(followees, 0), creates_row=True) is verdict


def test_rows_of_former_followees_are_limited() -> None:
    """With three of them only a former followee, who has a row already, may be followed."""
    assert LIMIT.verdict(FollowingCounts(0, 2), creates_row=True) is Verdict.ALLOWED
    assert LIMIT.verdict(FollowingCounts(0, 3), creates_row=True) is Verdict.TOO_MANY_REMOVED
    assert LIMIT.verdict(FollowingCounts(0, 3), creates_row=False) is Verdict.ALLOWED


def test_the_limit_itself_is_not_exceeded() -> None:
    """Three are allowed, four are not."""
    assert [LIMIT.is_exceeded(FollowingCounts(followees, 0)) for followees in (3, 4)] == [False, True]


@pytest.mark.parametrize("seed", range(200))
def test_in_every_order_of_processes_the_limit_holds(seed: int) -> None:
    """Each process counts, writes, counts again, and takes its follow back if there are too many."""
    rng = random.Random(seed)
    limit = FollowLimit(followees_max=3, removed_rows_max=3, verified_followees=3)
    followed: set[int] = set()
    steps = dict.fromkeys(range(5), 0)
    while steps:
        process = rng.choice(list(steps))
        step, counts = steps[process], FollowingCounts(len(followed), 0)
        steps[process] += 1
        if step == 0 and limit.verdict(counts, creates_row=True) is Verdict.TOO_MANY_FOLLOWEES:
            del steps[process]
        elif step == 1:
            followed.add(process)
        elif step == 2 and not limit.is_exceeded(counts):
            del steps[process]
        elif step == 3:
            followed.discard(process)
            del steps[process]

    assert len(followed) <= 3
