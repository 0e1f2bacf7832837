"""The breaker: a failing store costs one trial every `open_s`, not one deadline a request."""

from hypothesis import given
from hypothesis import strategies as st

from streams.core.breaker import Breaker

OPEN_S = 2.0


def breaker(failures: int = 0, at_s: float = 100.0) -> Breaker:
    made = Breaker(failures_max=3, open_s=OPEN_S)
    for _ in range(failures):
        made.failed(at_s)
    return made


def test_it_is_closed_below_its_limit() -> None:
    """After two failures, with a limit of three, every operation is allowed."""
    closed = breaker(failures=2)

    assert not closed.is_open
    assert all(closed.allows(100.0) for _ in range(5))


def test_it_opens_at_its_limit() -> None:
    """From the third failure on nothing is let through for two seconds."""
    opened = breaker(failures=3, at_s=100.0)

    assert opened.is_open
    assert not opened.allows(100.0)
    assert not opened.allows(101.999)


def test_one_trial_is_let_through_each_while() -> None:
    """One operation is allowed every `open_s`; all others are rejected."""
    opened = breaker(failures=3, at_s=100.0)

    assert [opened.allows(now_s) for now_s in (102.0, 102.0, 103.999, 104.0, 104.1)] == [
        True,
        False,
        False,
        True,
        False,
    ]


def test_a_trial_that_succeeds_closes_it() -> None:
    """The count of failures starts again at 0."""
    opened = breaker(failures=3)
    assert opened.allows(102.0)
    opened.succeeded()

    assert not opened.is_open
    assert all(opened.allows(102.0) for _ in range(5))
    opened.failed(102.0)
    opened.failed(102.0)
    assert not opened.is_open


def test_a_trial_that_fails_keeps_it_open() -> None:
    """The breaker stays open for another `open_s` from that failure on."""
    opened = breaker(failures=3)
    assert opened.allows(102.0)
    opened.failed(103.5)

    assert not opened.allows(105.4)
    assert opened.allows(105.5)


def test_only_failures_in_a_row_count() -> None:
    """Every success resets the count, so the breaker stays closed."""
    steady = breaker()
    for _ in range(10):
        steady.failed(100.0)
        steady.failed(100.0)
        steady.succeeded()

    assert not steady.is_open


@given(st.lists(st.floats(0.0, 0.5), max_size=200))
def test_while_open_trials_are_at_least_a_while_apart(steps_s: list[float]) -> None:
    """Whenever operations ask, and even if every trial fails, trials are `open_s` apart."""
    opened = breaker(failures=3, at_s=0.0)
    now_s, last_s = 0.0, 0.0
    for step_s in steps_s:
        now_s += step_s
        if opened.allows(now_s):
            assert now_s - last_s >= OPEN_S
            last_s = now_s
            opened.failed(now_s)
