"""The breakers: a failing store costs one trial every `open_s`, and a slow key costs the others nothing."""

from hypothesis import given
from hypothesis import strategies as st

from streams.core.limits.breaker import Breaker, KeyBreakers

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
    opened.succeeded(102.0)

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


def test_failures_open_it_if_they_are_half_of_the_recent_operations() -> None:
    """It remembers twelve operations. After twelve successes, it takes six failures to be half."""
    busy = breaker()
    for _ in range(12):
        busy.succeeded(100.0)

    opens = []
    for _ in range(6):
        busy.failed(100.0)
        opens.append(busy.is_open)

    assert opens == [False] * 5 + [True]


def test_a_third_of_failures_does_not_open_it() -> None:
    """The others are served."""
    steady = breaker()
    for _ in range(10):
        steady.succeeded(100.0)
        steady.succeeded(100.0)
        steady.failed(100.0)

    assert not steady.is_open


def test_one_slow_key_does_not_open_it() -> None:
    """However often operations on one or two keys fail, they count as one or two failures."""
    guarding = breaker()
    for _ in range(50):
        guarding.failed(100.0, b"slow")
        guarding.failed(100.0, b"slow, too")
    assert not guarding.is_open

    guarding.failed(100.0, b"a third")
    assert guarding.is_open


def test_a_key_counts_by_its_latest_outcome() -> None:
    """Three keys failed, but one of them has succeeded since."""
    guarding = breaker()
    guarding.failed(100.0, b"1")
    guarding.failed(100.0, b"2")
    guarding.succeeded(100.0, b"1")
    guarding.failed(100.0, b"3")

    assert not guarding.is_open


def test_old_failures_do_not_count() -> None:
    """The window is ten seconds."""
    guarding = breaker(failures=2, at_s=100.0)
    guarding.failed(110.0)
    guarding.failed(110.1)

    assert not guarding.is_open
    guarding.failed(110.2)
    assert guarding.is_open


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


def key_breakers() -> KeyBreakers:
    return KeyBreakers(failures_max=3, open_s=OPEN_S, keys_max=3)


def test_a_key_that_keeps_failing_is_rejected_alone() -> None:
    """After three failures in a row the key gets one trial every two seconds; other keys go on."""
    keys = key_breakers()
    for _ in range(3):
        assert keys.allows(b"slow", 100.0)
        keys.failed(b"slow", 100.0)

    assert [keys.allows(b"slow", at_s) for at_s in (100.0, 101.9, 102.0, 102.1)] == [
        False,
        False,
        True,
        False,
    ]
    assert all(keys.allows(b"other", 100.0) for _ in range(5))


def test_a_key_that_succeeds_is_allowed_again() -> None:
    """Its failures are forgotten."""
    keys = key_breakers()
    for _ in range(3):
        keys.failed(b"slow", 100.0)
    keys.succeeded(b"slow")
    keys.failed(b"slow", 100.0)

    assert keys.allows(b"slow", 100.0)


def test_rare_failures_of_a_key_do_not_add_up() -> None:
    """Failures more than a window apart are not in a row."""
    keys = key_breakers()
    for at_s in (100.0, 110.1, 120.2, 130.3):
        keys.failed(b"rare", at_s)

    assert keys.allows(b"rare", 130.3)


def test_failing_keys_are_bounded_in_memory() -> None:
    """Of four failing keys, the one that failed longest ago is forgotten."""
    keys = key_breakers()
    for key in (b"1", b"2", b"3", b"1", b"1", b"4", b"5"):
        keys.failed(key, 100.0)

    assert len(keys._failing) == 3
    assert not keys.allows(b"1", 100.0)
