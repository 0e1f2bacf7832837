"""Token buckets."""

from hypothesis import given
from hypothesis import strategies as st

from streams.core.limits.rates import Rate, TokenBucket

RATE = Rate(per_s=10, burst=5)


def test_a_bucket_is_full_at_first_and_refills_at_its_rate() -> None:
    """The wait ends when there is a whole token."""
    bucket = TokenBucket(RATE, 0)
    left = [bucket.spend(1, 0) for _ in range(5)]

    assert left == [4, 3, 2, 1, 0]
    assert bucket.wait_s(0) == 0.1
    assert bucket.wait_s(0.1) == 0
    assert bucket.tokens(60) == 5


def test_a_debt_is_paid_before_tokens_are_left() -> None:
    """A debt is at most a burst, so no requester is locked out for longer than two refills."""
    bucket = TokenBucket(RATE, 0)

    assert bucket.spend(99, 0) == -5
    assert bucket.wait_s(0) == 0.6


def test_a_bucket_is_lowered_but_never_raised() -> None:
    """What another process says is left can only be less."""
    bucket = TokenBucket(RATE, 0)
    bucket.lower_to(-2, 0)
    bucket.lower_to(4, 0)

    assert bucket.tokens(0) == -2


@given(st.lists(st.floats(min_value=0, max_value=1), max_size=60))
def test_no_window_admits_more_than_burst_and_refill(pauses_s: list[float]) -> None:
    """Whatever the pauses between requests are."""
    bucket, now_s, taken_s = TokenBucket(RATE, 0), 0.0, list[float]()
    for pause_s in pauses_s:
        now_s += pause_s
        if not bucket.wait_s(now_s):
            bucket.spend(1, now_s)
            taken_s.append(now_s)

    for first, begin_s in enumerate(taken_s):
        for last in range(first, len(taken_s)):
            allowed = RATE.burst + RATE.per_s * (taken_s[last] - begin_s)
            assert last - first + 1 <= allowed + 1e-6
