"""The rules of other lag monitors, on the examples of their own documentation."""

from math import isnan

from bench.lag.rivals import BurrowCommit, BurrowStatus, LookupTable, burrow_status, kminion_lag

MINUTE_MS = 60_000


def status(offsets: list[int], lags: list[int], *, late_ms: int = 0, lag: int | None = None) -> BurrowStatus:
    """One commit a minute; `late_ms` after the last one."""
    commits = [
        BurrowCommit(number * MINUTE_MS, offset, lag)
        for number, (offset, lag) in enumerate(zip(offsets, lags, strict=True))
    ]
    now_ms = (len(commits) - 1) * MINUTE_MS + late_ms
    return burrow_status(commits, lags[-1] if lag is None else lag, now_ms)


def test_burrow_says_ok_if_any_lag_of_the_window_is_zero() -> None:
    assert BurrowStatus.OK == status([10] * 10, [0, 0, 0, 0, 0, 0, 100, 200, 200, 300])


def test_burrow_says_stall_if_the_offset_does_not_move() -> None:
    assert BurrowStatus.STALL == status([10] * 10, [60, 60, 60, 60, 60, 100, 200, 200, 200, 300])


def test_burrow_says_warning_if_the_offset_moves_and_the_lag_shrinks_nowhere() -> None:
    assert BurrowStatus.WARNING == status(list(range(10)), [60, 60, 60, 60, 60, 100, 200, 200, 200, 300])
    assert BurrowStatus.OK == status(list(range(10)), [60, 60, 60, 60, 60, 100, 200, 200, 190, 300])


def test_burrow_says_stop_if_the_last_commit_is_older_than_the_window_is_long() -> None:
    offsets, lags = list(range(10)), [60] * 9 + [50]
    assert BurrowStatus.OK == status(offsets, lags, late_ms=9 * MINUTE_MS)
    assert BurrowStatus.STOP == status(offsets, lags, late_ms=9 * MINUTE_MS + 1)
    assert BurrowStatus.OK == status(offsets, lags, late_ms=9 * MINUTE_MS + 1, lag=0)


def test_burrow_says_rewind_if_the_offset_goes_back() -> None:
    assert BurrowStatus.REWIND == status([10, 11, 9], [60, 60, 60])


def test_burrow_knows_ten_commits() -> None:
    assert BurrowStatus.OK == status(list(range(10)), [0, *[60] * 9])
    assert BurrowStatus.WARNING == status(list(range(11)), [0, *[60] * 10])


def test_kminion_counts_offsets_and_knows_nothing_without_a_commit() -> None:
    assert (7, 0, None) == (kminion_lag(3, 10), kminion_lag(10, 10), kminion_lag(None, 10))


def test_lag_exporter_interpolates_between_two_looks() -> None:
    table = LookupTable()
    assert isnan(table.lag_seconds(5, 0))
    for end, at_ms in ((0, 0), (100, 10_000), (300, 20_000)):
        table.add(end, at_ms)

    assert 15.0 == table.lag_seconds(50, 20_000)
    assert 5.0 == table.lag_seconds(200, 20_000)
    assert 0.0 == table.lag_seconds(300, 20_000)
    assert isnan(table.lag_seconds(None, 20_000))


def test_lag_exporter_extrapolates_before_its_first_look() -> None:
    """What had been published in an hour looks like the last seconds."""
    table = LookupTable()
    for end, at_ms in ((3_600, 0), (3_700, 10_000)):
        table.add(end, at_ms)

    assert 370.0 == table.lag_seconds(0, 10_000)


def test_lag_exporter_cannot_say_anything_of_a_log_that_did_not_grow() -> None:
    table = LookupTable()
    for at_ms in (0, 10_000, 20_000):
        table.add(10, at_ms)

    assert isnan(table.lag_seconds(5, 20_000))


def test_lag_exporter_takes_a_flat_log_as_one_line_of_its_table() -> None:
    """So a quiet hour does not push out what it knows of before."""
    table = LookupTable()
    for end, at_ms in ((0, 0), (100, 10_000)):
        table.add(end, at_ms)
    for look in range(100):
        table.add(100, 10_000 + look)

    assert 15.0 == table.lag_seconds(50, 20_000)
