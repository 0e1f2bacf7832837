"""How often the job looks for parked photos."""

from streams.jobs.parked import next_pause_s
from streams.settings import Settings


def test_pauses_grow_while_no_photo_is_due() -> None:
    """One photo that is due, or a store that does not answer, makes the pause short again."""
    settings = Settings(original_poll_s=2, original_idle_poll_s=10)
    pauses_s = [2]
    for is_idle in (True, True, True, True, False, True):
        pauses_s.append(next_pause_s(pauses_s[-1], settings, is_idle=is_idle))

    assert pauses_s[1:] == [4, 8, 10, 10, 2, 4]
