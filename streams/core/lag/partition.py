"""One partition of a group over the last minute, and the verdict on it.

A verdict needs what was seen: after a start of the monitor, or a pause between two samples, judgement begins
again, so nothing that happened unseen is held against a consumer.
"""

from collections import deque
from dataclasses import dataclass, field

from streams.core.lag.arithmetic import MESSAGES_MIN, drain_s, messages_of, retention_used, seconds_of
from streams.core.lag.samples import Members, PartitionSample, StoredStop
from streams.core.lag.states import LagState, Verdict

WINDOW_S = 60.0
THIRDS = 3
HOT_SAMPLES_MIN = 3
POISON_ENDS_MIN = 2
RETENTION_WARNING, RETENTION_PAGE = 0.5, 0.75


@dataclass(frozen=True, slots=True, kw_only=True)
class LagLimits:
    """How long a partition with waiting records may be without an owner, or not move, until that is a state.

    Samples that are further apart than `pause_s` do not belong together.
    """

    unowned_s: float
    still_s: float
    pause_s: float
    retention_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Circumstances:
    """What else is known of a partition: its group's members, and what workers stored of it."""

    members: Members | None = None
    # How often the members have changed within the last minute, if that is a storm; otherwise 0.
    changes: int = 0
    # Every group needs Cassandra for every record.
    is_cassandra_away: bool = False
    stop: StoredStop | None = None
    ended: int = 0


@dataclass(slots=True)
class PartitionHistory:
    """The samples of one partition within the last minute."""

    limits: LagLimits
    _samples: deque[PartitionSample] = field(default_factory=deque, init=False)
    # The sample in which it last moved or had nothing to read, and the first one of those without an owner.
    _well: PartitionSample | None = field(default=None, init=False)
    _unowned: PartitionSample | None = field(default=None, init=False)
    # The commit for which the next record is known, and that record's offset.
    _known_next: tuple[int, int] = field(default=(-1, -1), init=False)
    _hot_samples: int = field(default=0, init=False)
    _verdict: Verdict | None = field(default=None, init=False)

    def add(self, sample: PartitionSample, *, has_owner: bool | None) -> None:
        """Add the newest sample; `has_owner` is None if that is not known."""
        last = self._samples[-1] if self._samples else None
        if last is not None and self._is_another_story(last, sample):
            self._samples.clear()
            self._well = self._unowned = last = None
            self._hot_samples = 0
        waits = messages_of(sample) > 0
        moved = last is not None and (sample.committed or 0) > (last.committed or 0)
        if self._well is None or not waits or moved:
            self._well, self._unowned = sample, None
        if not waits or has_owner is not False:
            self._unowned = None
        elif self._unowned is None:
            self._unowned = sample
        self._samples.append(sample)
        while len(self._samples) > 1 and sample.at_s - self._samples[1].at_s >= WINDOW_S:
            self._samples.popleft()
        if (
            sample.committed is not None
            and sample.next_offset is not None
            and sample.start <= sample.committed
        ):
            self._known_next = sample.committed, sample.next_offset

    def observe_hot(self, is_hot: bool) -> None:
        """Take whether the newest sample is far above those of the topic's other partitions."""
        self._hot_samples = self._hot_samples + 1 if is_hot else 0

    @property
    def last(self) -> PartitionSample | None:
        """The newest sample."""
        return self._samples[-1] if self._samples else None

    def still_s(self) -> float:
        """Return for how long records have waited and nothing was committed."""
        if self._well is None or not self._samples:
            return 0.0
        return self._samples[-1].at_s - self._well.at_s

    def produced_per_s(self) -> float | None:
        """Return how fast the log's end moves, over the last minute; None before the second sample."""
        return self._per_s(self._samples[-1].end - self._samples[0].end) if len(self._samples) > 1 else None

    def consumed_per_s(self) -> float | None:
        """Return how fast the commit moves, over the last minute; None before the second sample."""
        if len(self._samples) < 2:
            return None
        # Where the group has just committed for the first time, what it read before that is not known.
        first = next((sample.committed for sample in self._samples if sample.committed is not None), 0)
        return self._per_s((self._samples[-1].committed or 0) - first)

    def drain_s(self) -> float | None:
        """Return when nothing waits any more; see `arithmetic.drain_s`."""
        if not self._samples:
            return None
        return drain_s(messages_of(self._samples[-1]), self.produced_per_s(), self.consumed_per_s())

    def lost(self) -> int:
        """Return how many offsets the log lost unread; those known to have no record do not count."""
        sample = self._samples[-1]
        if sample.committed is None or sample.committed >= sample.start:
            return 0
        commit, following = self._known_next
        read_to = following if commit == sample.committed else sample.committed
        return max(0, sample.start - read_to)

    def judge(self, circumstances: Circumstances) -> Verdict:
        """Return the verdict on the newest sample."""
        sample = self._samples[-1]
        waits = messages_of(sample) > 0
        verdict = (
            self._retention_risk(sample)
            or self._poisoned(circumstances)
            or (self._blocked(sample, circumstances) if waits else None)
            or (self._slow(sample) if waits else None)
            or self._well_verdict(sample)
        ).after(self._verdict)
        self._verdict = verdict
        return verdict

    def no_data(self, at_ms: int, reason: str) -> Verdict:
        """Return the verdict without a sample; `at_ms` is the time of the last one."""
        self._verdict = Verdict(LagState.NO_DATA, at_ms, reason).after(self._verdict)
        return self._verdict

    def _retention_risk(self, sample: PartitionSample) -> Verdict | None:
        if lost := self.lost():
            reason = (
                f"the log begins after the commit: {lost:,} offsets were removed before they were handled"
            )
            return Verdict(LagState.RETENTION_RISK, sample.at_ms, reason)
        # A short log is soon full of what waits, and that is no risk. So the age of its oldest record
        # counts, too.
        part = min(retention_used(sample), (seconds_of(sample) or 0.0) / self.limits.retention_s)
        if part < RETENTION_WARNING:
            return None
        urgency = "page" if part >= RETENTION_PAGE else "warning"
        reason = (
            f"{retention_used(sample):.0%} of the log waits, and the oldest record has used {part:.0%} of its"
            f" retention ({urgency}): then it is removed unread"
        )
        return Verdict(LagState.RETENTION_RISK, sample.at_ms, reason)

    @staticmethod
    def _poisoned(circumstances: Circumstances) -> Verdict | None:
        stop = circumstances.stop
        if stop is None:
            return None
        return Verdict(LagState.POISON, stop.since_ms, f"it waits for an operator: {stop.reason}")

    def _blocked(self, sample: PartitionSample, circumstances: Circumstances) -> Verdict | None:
        """Return why nothing is committed, if records wait and nothing is."""
        waiting = records_wait(messages_of(sample))
        members = circumstances.members
        if circumstances.ended >= POISON_ENDS_MIN:
            offset = f"offset {sample.committed or 0:,}"
            reason = f"{circumstances.ended} workers ended at {offset}, where {waiting}"
            return Verdict(LagState.POISON, sample.at_ms, reason)
        if members is not None and members.is_rebalancing:
            return Verdict(LagState.REBALANCING, sample.at_ms, "its group is in a rebalance")
        if circumstances.changes:
            reason = f"the members of its group changed {circumstances.changes} times within a minute"
            return Verdict(LagState.REBALANCING, sample.at_ms, reason)
        still_s = self.still_s()
        is_still = still_s >= self.limits.still_s
        # Before a record was seen there, it may be a gap.
        if self._unowned is not None and (is_still or sample.next_offset is not None):
            unowned_s = sample.at_s - self._unowned.at_s
            if unowned_s >= self.limits.unowned_s:
                reason = f"nobody reads it, and {waiting}{_no_commit(sample)}"
                return Verdict(LagState.STOPPED, self._unowned.at_ms, reason)
        if is_still and self._well is not None:
            reason = f"its commit has not moved for {still_s:,.0f} s, and {waiting}{_no_commit(sample)}"
            if circumstances.is_cassandra_away:
                return Verdict(LagState.PAUSED, self._well.at_ms, f"it waits for Cassandra: {reason}")
            return Verdict(LagState.STALLED, self._well.at_ms, reason)
        return None

    def _slow(self, sample: PartitionSample) -> Verdict | None:
        floors = self._floors()
        if min(floors) < MESSAGES_MIN or floors != sorted(floors):
            return None
        produced, consumed = self.produced_per_s() or 0.0, self.consumed_per_s() or 0.0
        reason = (
            f"{records_wait(messages_of(sample))} and become no fewer: {produced:,.1f} a second arrive,"
            f" {consumed:,.1f} are committed{_no_commit(sample)}"
        )
        return Verdict(LagState.SLOW, sample.at_ms, reason)

    def _well_verdict(self, sample: PartitionSample) -> Verdict:
        if self._hot_samples >= HOT_SAMPLES_MIN:
            reason = (
                f"{records_wait(messages_of(sample))} here, far more than in the topic's other partitions"
            )
            return Verdict(LagState.HOT, sample.at_ms, reason)
        reason = well(messages_of(sample))
        if (drain := self.drain_s()) is not None:
            reason += f", for about {drain:,.0f} s more"
        return Verdict(LagState.OK, sample.at_ms, reason + _no_commit(sample))

    def _floors(self) -> list[int]:
        """Return the fewest messages in each third of the last minute; 0 in one that was not all seen.

        The least, because a lane that works in batches has a lag like the teeth of a saw.
        """
        newest_s = self._samples[-1].at_s
        thirds: list[list[int]] = [[] for _ in range(THIRDS)]
        for sample in self._samples:
            age_s = newest_s - sample.at_s
            if age_s < WINDOW_S:
                thirds[THIRDS - 1 - int(age_s * THIRDS / WINDOW_S)].append(messages_of(sample))
        if newest_s - self._samples[0].at_s < WINDOW_S:
            return [0] * THIRDS
        return [min(third, default=0) for third in thirds]

    def _is_another_story(self, last: PartitionSample, sample: PartitionSample) -> bool:
        """Whether nobody looked for a while, the topic is another one, or the offsets were moved back."""
        return (
            sample.at_s - last.at_s > self.limits.pause_s
            or sample.end < last.end
            or (
                last.committed is not None and (sample.committed is None or sample.committed < last.committed)
            )
        )

    def _per_s(self, offsets: int) -> float:
        took_s = self._samples[-1].at_s - self._samples[0].at_s
        return offsets / took_s if took_s > 0 else 0.0


def records_wait(messages: float) -> str:
    """Say how many records wait."""
    return "1 record waits" if messages == 1 else f"{messages:,.0f} records wait"


def well(messages: float) -> str:
    """Say that all is well although records may wait."""
    return f"{records_wait(messages)}, and the group reads" if messages else "nothing waits"


def _no_commit(sample: PartitionSample) -> str:
    return " (NO-COMMIT: the group has committed nothing here yet)" if sample.committed is None else ""
