"""Verdicts on lanes and groups, from the samples of their partitions."""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from streams.core.lag.arithmetic import (
    MESSAGES_MIN,
    hot,
    largest,
    messages_of,
    retention_used,
    seconds_of,
    skew,
    total,
)
from streams.core.lag.partition import WINDOW_S, Circumstances, LagLimits, PartitionHistory, well
from streams.core.lag.report import GroupLag, PartitionLag, TopicLag
from streams.core.lag.samples import GroupLogs, GroupSample, Log, Members, StoredFacts, TopicLogs
from streams.core.lag.states import LagState, Verdict, worst
from topics.catalogue import Lane

# As many changes of a group's members within a minute are a storm; a restart of one worker has two.
STORM_CHANGES_MIN = 4
NOTHING_STORED = StoredFacts(stops={}, ended={})
STOPS_UNKNOWN = "; stops are not known, because Cassandra does not respond"


@dataclass(slots=True)
class GroupHistory:
    """One consumer group over the last minute. `pause_s`: see `LagLimits`."""

    group: GroupLogs
    unowned_s: float
    pause_s: float
    _partitions: dict[Log, PartitionHistory] = field(default_factory=dict, init=False)
    _members: Members | None = field(default=None, init=False)
    _changes_s: deque[float] = field(default_factory=deque, init=False)
    _verdicts: dict[str, Verdict] = field(default_factory=dict, init=False)
    _sampled_ms: int | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self.grow(self.group)

    def grow(self, group: GroupLogs) -> None:
        """Take the group's partitions, of which there may be more than before."""
        self.group = group
        for topic in group.topics:
            limits = LagLimits(
                unowned_s=self.unowned_s,
                still_s=group.still_s,
                pause_s=self.pause_s,
                retention_s=topic.retention_s,
            )
            for partition in topic.partitions:
                self._partitions.setdefault((topic.topic, partition), PartitionHistory(limits))

    def still(self, for_s: float) -> dict[Log, int]:
        """Return the commits of the partitions where records wait and nothing moved for `for_s` seconds."""
        return {
            log: history.last.committed or 0
            for log, history in self._partitions.items()
            if history.last is not None and history.still_s() >= for_s
        }

    def judge(
        self, sample: GroupSample, stored: StoredFacts | None, backlog: Mapping[Lane, int], now_s: float
    ) -> GroupLag:
        """Return the group as of `sample`; without `stored`, stops are not known."""
        members = sample.members
        self._count_changes(members, now_s)
        storm = len(self._changes_s) if len(self._changes_s) >= STORM_CHANGES_MIN else 0
        for log, partition in sample.partitions.items():
            self._partitions[log].add(partition, has_owner=None if members is None else log in members.owners)
            self._sampled_ms = partition.at_ms
        topics = [self._topic(topic, sample, stored, storm, backlog) for topic in self.group.topics]
        return self._group(topics, "" if stored else STOPS_UNKNOWN)

    def no_data(self, now_ms: int, reason: str) -> GroupLag:
        """Return the group without a sample, since the last one."""
        since_ms = now_ms if self._sampled_ms is None else self._sampled_ms
        topics = []
        for topic in self.group.topics:
            rows = [
                PartitionLag(
                    partition=number,
                    verdict=self._partitions[topic.topic, number].no_data(since_ms, reason),
                )
                for number in topic.partitions
            ]
            verdict = self._named(topic, Verdict(LagState.NO_DATA, since_ms, reason))
            topics.append(_topic_lag(topic, verdict, rows, None, {}))
        return self._group(topics, "")

    def _topic(
        self,
        topic: TopicLogs,
        sample: GroupSample,
        stored: StoredFacts | None,
        storm: int,
        backlog: Mapping[Lane, int],
    ) -> TopicLag:
        histories = [self._partitions[topic.topic, number] for number in topic.partitions]
        messages = [messages_of(sample.partitions[topic.topic, number]) for number in topic.partitions]
        for history, is_hot in zip(histories, hot(messages), strict=True):
            history.observe_hot(is_hot)
        facts = stored or NOTHING_STORED
        owners = {} if sample.members is None else sample.members.owners
        rows = []
        for number, history in zip(topic.partitions, histories, strict=True):
            log = (topic.topic, number)
            circumstances = Circumstances(
                members=sample.members,
                changes=storm,
                is_cassandra_away=stored is None,
                stop=facts.stops.get(log),
                ended=facts.ended_at(log, sample.partitions[log].committed or 0),
            )
            rows.append(_row(number, history, history.judge(circumstances), owners.get(log)))
        verdict = _of_topic(rows, "" if stored else STOPS_UNKNOWN)
        return _topic_lag(topic, self._named(topic, verdict), rows, skew(messages), backlog)

    def _group(self, topics: Sequence[TopicLag], unknown: str) -> GroupLag:
        found = worst(topic.verdict for topic in topics)
        if len(topics) > 1 and found.state not in (LagState.OK, LagState.NO_DATA):
            names = [topic.topic for topic in topics if topic.verdict.state is found.state]
            found = replace(found, reason=f"{', '.join(names)}: {found.reason}")
        elif found.state is LagState.OK:
            found = replace(found, reason=well(total(topic.lag_messages for topic in topics) or 0) + unknown)
        verdict = found.after(self._verdicts.get(""))
        self._verdicts[""] = verdict
        return GroupLag(group=self.group.group, verdict=verdict, topics=topics)

    def _named(self, topic: TopicLogs, verdict: Verdict) -> Verdict:
        """Return the verdict on a topic with the time since when it is the same."""
        verdict = verdict.after(self._verdicts.get(topic.topic))
        self._verdicts[topic.topic] = verdict
        return verdict

    def _count_changes(self, members: Members | None, now_s: float) -> None:
        """Count the rebalances that were seen: other members than at the last sample, or one under way."""
        if members is not None:
            if members.is_rebalancing or (self._members is not None and members.ids != self._members.ids):
                self._changes_s.append(now_s)
            self._members = members
        while self._changes_s and now_s - self._changes_s[0] >= WINDOW_S:
            self._changes_s.popleft()


def _of_topic(rows: Sequence[PartitionLag], unknown: str) -> Verdict:
    """Return the verdict on a topic: that of its worst partitions, with their numbers and what is unknown."""
    found = worst(row.verdict for row in rows)
    if found.state is LagState.OK:
        return replace(found, reason=well(total(row.lag_messages for row in rows) or 0) + unknown)
    same = [row for row in rows if row.verdict.state is found.state]
    numbers = ", ".join(str(row.partition) for row in same)
    return replace(
        found, reason=f"partition{'s' if len(same) > 1 else ''} {numbers}: {found.reason}{unknown}"
    )


def _row(number: int, history: PartitionHistory, verdict: Verdict, owner: str | None) -> PartitionLag:
    sample = history.last
    assert sample is not None
    return PartitionLag(
        partition=number,
        verdict=verdict,
        start=sample.start,
        end=sample.end,
        committed=sample.committed,
        owner=owner,
        lag_messages=messages_of(sample),
        lag_seconds=seconds_of(sample),
        produced_per_s=history.produced_per_s(),
        consumed_per_s=history.consumed_per_s(),
        drain_s=history.drain_s(),
        # What was removed before it was handled counts as well: then all of the retention is used.
        retention_used=1.0 if history.lost() else retention_used(sample),
    )


def _topic_lag(
    topic: TopicLogs,
    verdict: Verdict,
    rows: Sequence[PartitionLag],
    skewed: float | None,
    backlog: Mapping[Lane, int],
) -> TopicLag:
    # Partitions with few messages have no time to drain, and need none.
    draining = [row.drain_s for row in rows if row.lag_messages is None or row.lag_messages >= MESSAGES_MIN]
    return TopicLag(
        topic=topic.topic,
        lane=topic.lane,
        verdict=verdict,
        partitions=rows,
        lag_messages=total(row.lag_messages for row in rows),
        lag_seconds=largest(row.lag_seconds for row in rows),
        backlog_deliveries=None if topic.lane is None else backlog.get(topic.lane),
        produced_per_s=total(row.produced_per_s for row in rows),
        consumed_per_s=total(row.consumed_per_s for row in rows),
        drain_s=largest(draining) if draining else None,
        skew=skewed,
    )
