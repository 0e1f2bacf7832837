"""A partition is stuck only if it has records to read, does not move, and is not excused."""

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
    """Look now and again `seconds` later; return what the second look found stuck."""
    progress.stuck({PARTITION: end}, 60)
    clock[0] += seconds
    return progress.stuck({PARTITION: end}, 60)


def test_a_partition_that_does_not_move_though_it_has_work_is_stuck(
    progress: Progress, clock: list[float]
) -> None:
    """Records are waiting, and the position has not changed for over a minute."""
    progress.handled(PARTITION, 5)
    progress.stuck({PARTITION: 9}, 60)

    assert [PARTITION] == stuck_after(progress, clock, 9, 61)


def test_one_that_is_quiet_since_a_restart_is_not(progress: Progress, clock: list[float]) -> None:
    """This process has handled nothing, but the commit is at the end of the log."""
    assert [PARTITION] == progress.unknown()
    progress.begin(PARTITION, 9)

    assert [] == stuck_after(progress, clock, 9, 61)


def test_one_that_was_idle_for_an_hour_is_not_stuck_when_a_record_comes(
    progress: Progress, clock: list[float]
) -> None:
    """The minute starts when a record is waiting, not when the last one was handled."""
    progress.handled(PARTITION, 5)
    stuck_after(progress, clock, 5, 3_600)

    assert [] == stuck_after(progress, clock, 6, 30)


def test_one_that_waits_on_purpose_is_not(progress: Progress, clock: list[float]) -> None:
    """A partition that waits for a store or for an operator is excused."""
    progress.handled(PARTITION, 5)
    progress.stuck({PARTITION: 9}, 60)
    with progress.excused(PARTITION):
        assert [] == stuck_after(progress, clock, 9, 61)


def test_what_is_in_flight_is_added_up_by_group() -> None:
    """If it is not known of one partition, it is not known of the group."""
    progress = Progress()
    one, two, other = (GroupPartition(group, "t", number) for group, number in (("g", 0), ("g", 1), ("h", 0)))
    for group, partitions in (("g", {one, two}), ("h", {other})):
        progress.own(group, partitions)
    for partition in (one, two):
        progress.fetched(partition, 120)
        progress.committed(partition, 100)

    assert {"g": 40, "h": 0} == progress.in_flight()
    progress.committed(two, None)
    assert {"g": None, "h": 0} == progress.in_flight()
