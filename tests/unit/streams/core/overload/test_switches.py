"""A switch is on above a limit and off below a lower one, and moves only after its last move is announced."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.core.overload.switches import Switch, SwitchLimits, SwitchState, moved

LIMITS = SwitchLimits(on_above=10, off_below=3)
OFF = SwitchState(switch=Switch.BREAKER)
ON = replace(OFF, is_on=True)


@pytest.mark.parametrize(
    ("state", "measured", "is_on"),
    [(OFF, 10, False), (OFF, 11, True), (ON, 10, True), (ON, 3, True), (ON, 2, False)],
)
def test_it_moves_above_one_limit_and_below_the_other(state: SwitchState, measured: int, is_on: bool) -> None:
    after = moved(state, measured, LIMITS, 7)

    assert (after or state).is_on is is_on
    if after is not None:
        assert after == SwitchState(
            switch=Switch.BREAKER,
            is_on=is_on,
            since_ms=7,
            measured=measured,
            version=1,
            is_announced=False,
        )


@given(st.lists(st.integers(0, 20), max_size=50))
def test_it_never_flaps(measured: list[int]) -> None:
    """Between two moves the measure has crossed from one limit to the other."""
    state, last = OFF, 0
    for value in measured:
        after = moved(replace(state, is_announced=True), value, LIMITS, 0)
        if after is not None:
            assert after.version == state.version + 1
            assert (last < 3 or state.version == 0) if after.is_on else last > 10
            state, last = after, value


def test_a_move_that_is_not_announced_stays() -> None:
    """The next worker that sees it announces it first."""
    assert moved(replace(ON, is_announced=False), 0, LIMITS, 0) is None


@pytest.mark.parametrize(("on_above", "off_below"), [(3, 4), (0, 0), (5, 0)])
def test_limits_that_would_flap_are_refused(on_above: int, off_below: int) -> None:
    with pytest.raises(ValueError, match=f"off_below={off_below} .*on_above={on_above}"):
        SwitchLimits(on_above, off_below)
