"""The figures of lag. Nothing is interpolated: a figure is measured, or it is None."""

from collections.abc import Iterable, Sequence
from statistics import fmean, median, pstdev

from streams.core.lag.samples import PartitionSample

# With fewer messages, a few of them more or less would move the time to drain, and HOT, back and forth.
MESSAGES_MIN = 100
HOT_PARTITIONS_MIN = 3
HOT_DEVIATIONS = 2


def messages_of(sample: PartitionSample) -> int:
    """Return how many offsets wait, from the next record on; 0 if only offsets without a record are left.

    Without a commit, all that the log holds waits.
    """
    begin = max(sample.start, sample.committed or 0, sample.next_offset or 0)
    return max(0, sample.end - begin)


def seconds_of(sample: PartitionSample) -> float | None:
    """Return how long the next record has waited since its timestamp; 0 if nothing waits, None if not known.

    The timestamp is its producer's. If it is ahead of this clock, the record has waited for 0 s.
    """
    if not messages_of(sample):
        return 0.0
    return None if sample.record_ms is None else max(0, sample.at_ms - sample.record_ms) / 1_000


def retention_used(sample: PartitionSample) -> float:
    """Return which part of the log waits, 0 to 1: what is removed next has not been handled at 1."""
    held = sample.end - sample.start
    return messages_of(sample) / held if held > 0 else 0.0


def drain_s(messages: int, produced_per_s: float | None, consumed_per_s: float | None) -> float | None:
    """Return when nothing waits any more at these rates; None if the lag does not shrink, or is small."""
    if messages < MESSAGES_MIN or produced_per_s is None or consumed_per_s is None:
        return None
    return messages / (consumed_per_s - produced_per_s) if consumed_per_s > produced_per_s else None


def total(values: Iterable[float | None]) -> float | None:
    """Return the sum; None if one of the values is not known."""
    known = list(values)
    return None if None in known else sum(value for value in known if value is not None)


def largest(values: Iterable[float | None]) -> float | None:
    """Return the largest of the values; None if one of them is not known. A mean would hide one partition."""
    known = list(values)
    return None if None in known else max((value for value in known if value is not None), default=0.0)


def skew(messages: Sequence[int]) -> float | None:
    """Return the largest of the values by their median; None if the median is 0."""
    middle = median(messages) if messages else 0
    return max(messages) / middle if middle else None


def hot(messages: Sequence[int]) -> list[bool]:
    """Return which values are more than two deviations above the mean, of at least three values.

    Of n values, one is at most √(n - 1) deviations above their mean, so this finds none among five or fewer.
    """
    if len(messages) < HOT_PARTITIONS_MIN:
        return [False] * len(messages)
    limit = fmean(messages) + HOT_DEVIATIONS * pstdev(messages)
    return [count >= MESSAGES_MIN and count > limit for count in messages]
