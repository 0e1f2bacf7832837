"""The watchdog's facts: a partition is stuck only if it has work, does not move, and may not stand still."""

import pytest

from streams.kafka.consuming import progress as module
from streams.kafka.consuming.progress import Place, Progress

PLACE = Place("check", "likes", 0)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [0.0]
    monkeypatch.setattr(module, "monotonic", lambda: now[0])
    return now


@pytest.fixture
def progress(clock: list[float]) -> Progress:
    made = Progress()
    made.own("check", {PLACE})
    return made


def stuck_after(progress: Progress, clock: list[float], end: int, seconds: float) -> list[Place]:
    """Look now and `seconds` later."""
    progress.stuck({PLACE: end}, 60)
    clock[0] += seconds
    return progress.stuck({PLACE: end}, 60)


def test_a_partition_that_does_not_move_though_it_has_work_is_stuck(
    progress: Progress, clock: list[float]
) -> None:
    """Records wait, and a minute of looks saw the same position."""
    progress.handled(PLACE, 5)
    progress.stuck({PLACE: 9}, 60)

    assert [PLACE] == stuck_after(progress, clock, 9, 61)


def test_one_that_is_quiet_since_a_restart_is_not(progress: Progress, clock: list[float]) -> None:
    """Nothing was handled here, but everything was committed before."""
    assert [PLACE] == progress.unknown()
    progress.begin(PLACE, 9)

    assert [] == stuck_after(progress, clock, 9, 61)


def test_one_that_was_idle_for_an_hour_is_not_stuck_when_a_record_comes(
    progress: Progress, clock: list[float]
) -> None:
    """The minute begins when there is work."""
    progress.handled(PLACE, 5)
    stuck_after(progress, clock, 5, 3_600)

    assert [] == stuck_after(progress, clock, 6, 30)


def test_one_that_waits_on_purpose_is_not(progress: Progress, clock: list[float]) -> None:
    """For a store, or for an operator."""
    progress.handled(PLACE, 5)
    progress.stuck({PLACE: 9}, 60)
    with progress.excused(PLACE):
        assert [] == stuck_after(progress, clock, 9, 61)
