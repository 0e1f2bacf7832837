"""Freshness of the last hour by the canary's posts."""

from streams.monitor.canary import Outcome
from streams.monitor.freshness import WINDOW_MS, FreshnessLog


def test_the_share_in_time_and_the_burn_rate_are_of_the_last_hour() -> None:
    now_ms = 0
    log = FreshnessLog(lambda: now_ms)
    assert log.json() is None
    log.add(Outcome.FAILED)
    now_ms = WINDOW_MS
    for outcome in [Outcome.SEEN] * 997 + [Outcome.LATE]:
        log.add(outcome)

    shown = log.json()
    assert shown is not None
    assert (999, 997, 1, 1) == tuple(shown[name] for name in ("posts", "seen", "late", "failed"))
    assert 997 / 999 == shown["in_time"]
    assert 2.002 == shown["burn_rate"]
    now_ms += 1
    later = log.json()
    assert later is not None
    assert (998, 0) == (later["posts"], later["failed"])
    now_ms += WINDOW_MS
    assert log.json() is None
