"""The published rules of other lag monitors, as far as a recorded trace can be judged by them.

They are written from the documentation of each project, and take what each would have read from the broker.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import pairwise
from math import nan

BURROW_COMMITS = 10
LOOKUP_POINTS_MAX = 60


class BurrowStatus(StrEnum):
    """The states of a partition, of which STOP, STALL and REWIND make the group an error."""

    OK = "OK"
    WARNING = "WARN"
    STOP = "STOP"
    STALL = "STALL"
    REWIND = "REWIND"


@dataclass(frozen=True, slots=True)
class BurrowCommit:
    """A commit as Burrow stores it: with the lag that the last known end of the log gave it."""

    at_ms: float
    offset: int
    lag: int


def burrow_status(commits: Sequence[BurrowCommit], lag: int, now_ms: float) -> BurrowStatus:
    """Judge a partition by its last ten commits, of which `commits` has all; `lag` is that of now.

    Source: linkedin/Burrow, wiki "Consumer Lag Evaluation Rules", and the comments on rules 1 to 5 in
    core/internal/evaluator/caching.go at 02dec9b: no lag at any commit is OK; an offset that goes back is a
    rewind; a last commit that is older than the window is long is a stop; offsets that do not move are a
    stall; a lag that shrinks nowhere is a warning.
    """
    window = commits[-BURROW_COMMITS:]
    if not window or lag == 0 or any(commit.lag == 0 for commit in window):
        return BurrowStatus.OK
    pairs = list(pairwise(window))
    if any(later.offset < earlier.offset for earlier, later in pairs):
        return BurrowStatus.REWIND
    if now_ms - window[-1].at_ms > window[-1].at_ms - window[0].at_ms:
        return BurrowStatus.STOP
    if all(later.offset == earlier.offset for earlier, later in pairs):
        return BurrowStatus.STALL
    if all(later.lag >= earlier.lag for earlier, later in pairs):
        return BurrowStatus.WARNING
    return BurrowStatus.OK


def kminion_lag(committed: int | None, high_watermark: int) -> int | None:
    """Return the lag of a partition; None without a commit. It has no seconds and no verdict.

    Source: redpanda-data/kminion, docs/metrics.md, `kminion_kafka_consumer_group_topic_partition_lag`: "the
    number of messages a consumer group is lagging behind the latest offset of a partition".
    """
    return None if committed is None else max(0, high_watermark - committed)


@dataclass(slots=True)
class LookupTable:
    """The ends of a partition's log at the times of the last looks, from which lag exporter estimates time.

    Source: seglo/kafka-lag-exporter, README, "Estimate Consumer Group Time Lag": a table of at most 60
    points, of which those of a log that does not grow are one flat line; the time of the committed offset is
    interpolated between the two points around it, or extrapolated from the first and the last point.
    """

    _points: list[tuple[int, float]] = field(default_factory=list)

    def add(self, end: int, at_ms: float) -> None:
        """Take the end of the log as of a look."""
        if self._points and self._points[-1][0] > end:
            return
        if len(self._points) > 1 and self._points[-1][0] == self._points[-2][0] == end:
            self._points.pop()
        self._points = [*self._points[-(LOOKUP_POINTS_MAX - 1) :], (end, at_ms)]

    def lag_seconds(self, committed: int | None, now_ms: float) -> float:
        """Return the estimated time lag; not a number if nothing can be estimated."""
        points = self._points
        if committed is not None and points and committed == points[-1][0]:
            return 0.0
        if committed is None or len(points) < 2:
            return nan
        pairs = list(pairwise(points))
        around = [pair for pair in pairs if pair[0][0] <= committed <= pair[1][0]]
        (begin, began_ms), (end, ended_ms) = around[-1] if around else (points[0], points[-1])
        if begin == end:
            return nan
        produced_ms = ended_ms - (end - committed) * (ended_ms - began_ms) / (end - begin)
        return (now_ms - produced_ms) / 1_000
