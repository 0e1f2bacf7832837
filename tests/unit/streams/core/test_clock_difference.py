"""A difference between two clocks is only what is certain in spite of the time that a reply takes."""

from hypothesis import given
from hypothesis import strategies as st

from streams.core.clock_difference import difference_us

durations_us = st.integers(0, 10_000_000)


@given(ahead_us=st.integers(-(10**12), 10**12), to_store_us=durations_us, back_us=durations_us)
def test_a_slow_reply_never_shows_a_difference_that_is_not_there(
    ahead_us: int, to_store_us: int, back_us: int
) -> None:
    """The result has the right sign or is 0, is never larger than the real difference, and is smaller by no
    more than the reply took."""
    before_us = 1_800_000_000_000_000
    store_us = before_us + to_store_us - ahead_us

    found_us = difference_us(before_us, store_us, before_us + to_store_us + back_us)

    assert found_us * ahead_us >= 0
    assert abs(ahead_us) - to_store_us - back_us <= abs(found_us) <= abs(ahead_us)
