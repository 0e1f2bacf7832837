"""Photos are pushed or pulled by a rule that never flaps; large accounts use the bulk lane."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.core.delivery import (
    Conditions,
    DeliveryLimits,
    DeliveryReason,
    DeliveryRules,
    Mode,
    Overload,
    decide,
)
from topics.catalogue import Lane

LIMITS = DeliveryLimits(pull_followers_min=10, push_again_followers_max=7)
SMALL = Conditions(followers=5, mode_by_size=Mode.PUSH)

conditions = st.builds(
    Conditions, followers=st.none() | st.integers(0, 30), mode_by_size=st.sampled_from(Mode)
)
limits = st.builds(
    DeliveryLimits,
    pull_followers_min=st.just(10),
    push_again_followers_max=st.integers(0, 9),
    celebrity_push_followers_max=st.integers(0, 30),
)


@pytest.mark.parametrize(
    ("followers", "mode_by_size", "expected", "reason"),
    [
        (0, Mode.PUSH, Mode.PUSH, DeliveryReason.FEW_FOLLOWERS),
        (9, Mode.PUSH, Mode.PUSH, DeliveryReason.FEW_FOLLOWERS),
        (10, Mode.PUSH, Mode.PULL, DeliveryReason.CELEBRITY),
        (8, Mode.PULL, Mode.PULL, DeliveryReason.CELEBRITY),
        (7, Mode.PULL, Mode.PUSH, DeliveryReason.FEW_FOLLOWERS),
    ],
)
def test_crossing_has_hysteresis(
    followers: int, mode_by_size: Mode, expected: Mode, reason: DeliveryReason
) -> None:
    """An author is pulled from 10 followers on, and pushed again only at 7; the mode is stored."""
    decided = decide(Conditions(followers=followers, mode_by_size=mode_by_size), LIMITS)

    assert (decided.mode, decided.reason, decided.mode_by_size) == (expected, reason, expected)


@pytest.mark.parametrize("mode_by_size", Mode)
def test_an_unknown_size_is_a_giants(mode_by_size: Mode) -> None:
    """If the number of followers is unknown, the photo is pulled and no mode is stored."""
    decided = decide(Conditions(followers=None, mode_by_size=mode_by_size), LIMITS)

    assert (decided.mode, decided.lane) == (Mode.PULL, Lane.BULK)
    assert (decided.reason, decided.mode_by_size) == (DeliveryReason.FOLLOWERS_UNKNOWN, None)


@given(conditions, limits)
def test_a_large_account_never_takes_the_normal_lane(now: Conditions, any_limits: DeliveryLimits) -> None:
    """10 followers or more, or an unknown number, always mean the bulk lane; so does a deferred push."""
    large = now.followers is None or now.followers >= any_limits.pull_followers_min
    decided = decide(now, any_limits)

    assert decided.lane == (Lane.BULK if large or decided.is_deferred else Lane.NORMAL)


@given(st.lists(st.integers(6, 11), min_size=2, max_size=40))
def test_no_flapping_inside_the_gap(counts: list[int]) -> None:
    """The mode changes only when a limit is really crossed: 8 and 9 followers never change it."""
    mode = Mode.PUSH
    for followers in counts:
        decided = decide(Conditions(followers=followers, mode_by_size=mode), LIMITS).mode_by_size

        assert decided is mode or followers in (6, 7, 10, 11)
        assert decided is not None
        mode = decided


@pytest.mark.parametrize(
    ("followers", "reason"),
    [
        (9, DeliveryReason.FEW_FOLLOWERS),
        (10, DeliveryReason.CELEBRITY_PUSHED),
        (20, DeliveryReason.CELEBRITY_PUSHED),
        (21, DeliveryReason.CELEBRITY),
    ],
)
def test_celebrities_up_to_the_setting_are_pushed_later(followers: int, reason: DeliveryReason) -> None:
    """Above the setting they are pulled; if the setting is 0, all celebrities are pulled."""
    pushed = replace(LIMITS, celebrity_push_followers_max=20)
    decided = decide(replace(SMALL, followers=followers), pushed)

    assert decided.reason is reason
    assert decided.is_deferred == (10 <= followers <= 20)
    assert decided.lane is (Lane.NORMAL if followers < 10 else Lane.BULK)


OPEN, SHEDDING = Overload(is_breaker_open=True), Overload(is_shedding=True)
PARTITIONS = (2, 4)  # Of the post's records.


@pytest.mark.parametrize(
    ("overload", "followers", "reason"),
    [
        (OPEN, 0, DeliveryReason.BREAKER),
        (OPEN, 9, DeliveryReason.BREAKER),
        (OPEN, 10, DeliveryReason.CELEBRITY),
        (replace(OPEN, is_shedding=True), 2, DeliveryReason.BREAKER),
        (SHEDDING, 2, DeliveryReason.SHED),
        (SHEDDING, 3, DeliveryReason.FEW_FOLLOWERS),
        (Overload(oldest_s={2: 1.0, 4: 4.0}), 4, DeliveryReason.FEW_FOLLOWERS),
        (Overload(oldest_s={2: 1.0, 4: 4.0}), 5, DeliveryReason.SLOW_PUSH),
        (Overload(oldest_s={4: 5.1}), 0, DeliveryReason.SLOW_PUSH),
        (Overload(oldest_s={1: 99.0, 3: 99.0}), 5, DeliveryReason.FEW_FOLLOWERS),
    ],
)
def test_what_cannot_be_pushed_in_time_is_deferred(
    overload: Overload, followers: int, reason: DeliveryReason
) -> None:
    """All posts while the breaker is open; those of small authors while shedding; and pushes that would end
    more than 5 s after the photo is ready, at 4 followers a second. Other partitions do not matter."""
    limits = replace(LIMITS, shed_followers_min=3, post_deliveries_per_s=4)
    decided = DeliveryRules(limits, lambda: overload).decide(followers, Mode.PUSH, PARTITIONS)

    assert decided.reason is reason
    assert decided.is_deferred == (reason not in (DeliveryReason.CELEBRITY, DeliveryReason.FEW_FOLLOWERS))
    assert decided.mode is (Mode.PUSH if reason is DeliveryReason.FEW_FOLLOWERS else Mode.PULL)


@given(conditions, limits)
def test_a_forced_push_does_not_change_what_is_remembered(
    now: Conditions, any_limits: DeliveryLimits
) -> None:
    """The stored mode depends on the size alone, so a setting that is reset leaves no trace."""
    unforced = replace(any_limits, celebrity_push_followers_max=0)

    assert decide(now, any_limits).mode_by_size == decide(now, unforced).mode_by_size


@given(conditions)
def test_without_the_setting_the_mode_is_the_sizes(now: Conditions) -> None:
    """No celebrity is pushed by default."""
    decided = decide(now, LIMITS)

    assert decided.mode_by_size in (None, decided.mode)


def test_limits_that_would_flap_are_refused() -> None:
    """The error names both values."""
    with pytest.raises(ValueError, match=r"push_again_followers_max=10 .*pull_followers_min=10"):
        DeliveryLimits(pull_followers_min=10, push_again_followers_max=10)


def test_the_defaults_are_those_of_the_contract() -> None:
    """Pulled at 10,000, pushed again below 9,000, no celebrity pushed."""
    for followers, mode, expected in (
        (9_999, Mode.PUSH, Mode.PUSH),
        (10_000, Mode.PUSH, Mode.PULL),
        (9_000, Mode.PULL, Mode.PULL),
        (8_999, Mode.PULL, Mode.PUSH),
    ):
        assert decide(Conditions(followers=followers, mode_by_size=mode), DeliveryLimits()).mode is expected
