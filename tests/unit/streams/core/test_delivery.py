"""Photos are pushed or pulled by a rule that never flaps; large accounts use the bulk lane."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.core.delivery import Conditions, DeliveryLimits, DeliveryReason, Mode, decide
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
    """10 followers or more, or an unknown number, always mean the bulk lane."""
    large = now.followers is None or now.followers >= any_limits.pull_followers_min

    assert decide(now, any_limits).lane == (Lane.BULK if large else Lane.NORMAL)


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
    ("followers", "expected"), [(9, Mode.PUSH), (10, Mode.PUSH), (20, Mode.PUSH), (21, Mode.PULL)]
)
def test_celebrities_up_to_the_setting_are_pushed_through_bulk(followers: int, expected: Mode) -> None:
    """Above the setting they are pulled; if the setting is 0, all celebrities are pulled."""
    pushed = replace(LIMITS, celebrity_push_followers_max=20)
    decided = decide(replace(SMALL, followers=followers), pushed)

    assert decided.mode is expected
    assert decided.lane is (Lane.NORMAL if followers < 10 else Lane.BULK)
    assert (decided.reason is DeliveryReason.CELEBRITY_PUSHED) == (10 <= followers <= 20)


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
