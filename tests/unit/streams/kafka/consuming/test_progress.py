"""The watchdog's facts: a partition is stuck only if it has work, does not move, and may not stand still."""

import pytest

from streams.kafka.consuming.progress import GroupPartition, Progress

PARTITION = GroupPartition("check", "likes", 0)


@pytest.fixture
def clock() -> list[float]:
    """The time now, in seconds; a test sets it."""
    return [0.0]


@pytest.fixture
def progress(clock: list[float]) -> Progress:
    progress = Progress(clock_s=lambda: clock[0])
    progress.own("check", {PARTITION})
    return progress


def stuck_after(progress: Progress, clock: list[float], end: int, seconds: float) -> list[GroupPartition]:
    """Look now and `seconds` later."""
    progress.stuck({PARTITION: end}, 60)
    clock[0] += seconds
    return progress.stuck({PARTITION: end}, 60)


def test_a_partition_that_does_not_move_though_it_has_work_is_stuck(
    progress: Progress, clock: list[float]
) -> None:
    """Records wait, and a minute of looks saw the same position."""
    progress.handled(PARTITION, 5)
    progress.stuck({PARTITION: 9}, 60)

    assert [PARTITION] == stuck_after(progress, clock, 9, 61)


def test_one_that_is_quiet_since_a_restart_is_not(progress: Progress, clock: list[float]) -> None:
    """Nothing was handled here, but everything was committed before."""
    assert [PARTITION] == progress.unknown()
    progress.begin(PARTITION, 9)

    assert [] == stuck_after(progress, clock, 9, 61)


def test_one_that_was_idle_for_an_hour_is_not_stuck_when_a_record_comes(
    progress: Progress, clock: list[float]
) -> None:
    """The minute begins when there is work."""
    progress.handled(PARTITION, 5)
    stuck_after(progress, clock, 5, 3_600)

    assert [] == stuck_after(progress, clock, 6, 30)


def test_one_that_waits_on_purpose_is_not(progress: Progress, clock: list[float]) -> None:
    """For a store, or for an operator."""
    progress.handled(PARTITION, 5)
    progress.stuck({PARTITION: 9}, 60)
    with progress.excused(PARTITION):
        assert [] == stuck_after(progress, clock, 9, 61)
