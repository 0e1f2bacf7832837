"""What a worker says of itself is known only as long as it says something."""

from dataclasses import replace

from streams.core.workers.report import (
    REPORT_BYTES_MAX,
    RESTARTS_MAX,
    GroupWork,
    WorkerReport,
    decode_report,
    encode_report,
    known_of,
    restarts,
)
from streams.roles import Role, group_of

NOW_MS = 1_800_000_000_000
HOUR_MS = 3_600_000
WORK = GroupWork(group="check", batches=9, p50_ms=1.0, p99_ms=8.0, in_flight=4)
REPORT = WorkerReport(
    worker="worker-1",
    at_ms=NOW_MS - 2_000,
    started_ms=NOW_MS - 60_000,
    restarts_ms=(NOW_MS - HOUR_MS, NOW_MS - 60_000),
    loop_delay_ms=3.0,
    groups=(WORK,),
)


def known(age_s: float, *, is_read: bool = True) -> dict[str, object]:
    return known_of(REPORT, age_s=age_s, now_ms=NOW_MS, silent_s_max=15, is_read=is_read)


def test_a_worker_that_reports_has_its_figures() -> None:
    """A restart of an hour ago is no longer one of the last hour."""
    assert {
        "worker": "worker-1",
        "state": "OK",
        "age_s": 15.0,
        "started_at": "2027-01-15T07:59:00.000000Z",
        "restarts": 1,
        "loop_delay_ms": 3.0,
        "groups": [
            {
                "group": "check",
                "batches": 9,
                "p50_ms": 1.0,
                "p99_ms": 8.0,
                "in_flight": 4,
                "ms_per_megapixel": None,
            }
        ],
    } == known(15.0)


def test_of_a_silent_worker_only_the_age_of_its_last_word_is_known() -> None:
    nothing: dict[str, object] = {"started_at": None, "restarts": None, "loop_delay_ms": None, "groups": []}

    assert {"worker": "worker-1", "state": "SILENT", "age_s": 15.1, **nothing} == known(15.1)
    assert {"worker": "worker-1", "state": "NO-DATA", "age_s": 1, **nothing} == known(1, is_read=False)


def test_a_start_is_a_restart_unless_the_process_before_it_ended_in_order() -> None:
    """Then there is no report of it."""
    assert () == restarts(None, NOW_MS)
    assert (NOW_MS,) == restarts(replace(REPORT, restarts_ms=()), NOW_MS)
    assert (NOW_MS - 60_000, NOW_MS) == restarts(REPORT, NOW_MS)


def test_the_newest_restarts_are_remembered() -> None:
    many = tuple(NOW_MS - 2_000 + number for number in range(2 * RESTARTS_MAX))
    remembered = restarts(replace(REPORT, restarts_ms=many), NOW_MS)

    assert (*many[1 - RESTARTS_MAX :], NOW_MS) == remembered


def test_the_largest_report_is_bounded() -> None:
    groups = tuple(
        GroupWork(
            group=group_of("a" * 31 + ".", role),
            batches=10**6,
            p50_ms=299_999.123,
            p99_ms=299_999.123,
            in_flight=10**9,
            ms_per_megapixel=9_999.123,
        )
        for role in Role
    )
    largest = replace(
        REPORT, worker="w" * 63, groups=groups, loop_delay_ms=9_999.123, restarts_ms=(NOW_MS,) * RESTARTS_MAX
    )

    assert len(encode_report(largest)) <= REPORT_BYTES_MAX
    assert largest == decode_report("", 0, encode_report(largest))


def test_a_report_of_another_version_says_at_least_who_wrote_it() -> None:
    """More than this version knows is left out; what it cannot read leaves figures unknown."""
    newer = encode_report(REPORT).replace("{", '{"temperature":21,', 1)

    assert REPORT == decode_report("worker-1", REPORT.at_ms, newer)
    for text in ("", "[]", '{"worker":"worker-1","at_ms":1,"groups":[{}]}'):
        assert WorkerReport(worker="worker-1", at_ms=7) == decode_report("worker-1", 7, text)
