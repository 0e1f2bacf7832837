"""What the monitor knows at one moment, and its JSON: the body of `/ops/lag`."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from schemas.times import rfc3339, utc_datetime_of_ms
from streams.core.lag.states import RUNBOOKS, LagState, Verdict
from topics.catalogue import Lane

Json = dict[str, Any]

# What of a row is not a figure, and stays when nothing is known any more.
_IDENTITY = frozenset({"group", "topic", "lane", "partition", "topics", "partitions"})


@dataclass(frozen=True, slots=True, kw_only=True)
class PartitionLag:
    """A row of the report; without a sample every figure is None. Units are those of the field's names."""

    partition: int
    verdict: Verdict
    start: int | None = None
    end: int | None = None
    committed: int | None = None
    owner: str | None = None
    lag_messages: int | None = None
    lag_seconds: float | None = None
    produced_per_s: float | None = None
    consumed_per_s: float | None = None
    drain_s: float | None = None
    retention_used: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicLag:
    """A topic, or its lane: the sum of the messages, the largest of the seconds and of the times to drain."""

    topic: str
    lane: Lane | None
    verdict: Verdict
    partitions: Sequence[PartitionLag]
    lag_messages: float | None
    lag_seconds: float | None
    backlog_deliveries: int | None
    produced_per_s: float | None
    consumed_per_s: float | None
    drain_s: float | None
    skew: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupLag:
    """A consumer group, whose state is the worst of its topics'."""

    group: str
    verdict: Verdict
    topics: Sequence[TopicLag]


@dataclass(frozen=True, slots=True, kw_only=True)
class SwitchLag:
    """A switch as stored, and what it measures now; `is_on` is None if it is not known."""

    is_on: bool | None = None
    since_ms: int | None = None
    reason: str | None = None
    measured: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LagReport:
    """Everything at `sampled_ms`."""

    sampled_ms: int
    groups: Sequence[GroupLag]
    breaker: SwitchLag
    shedding: SwitchLag

    def json(self) -> Json:
        """Return the report as the outside contract has it; times are RFC 3339, unknown is null."""
        return {
            "sampled_at": _at(self.sampled_ms),
            "overload": {
                "breaker": {
                    "state": _state(self.breaker.is_on),
                    "since": _time(self.breaker.since_ms),
                    "reason": self.breaker.reason,
                    "backlog_deliveries": self.breaker.measured,
                },
                "shedding": {
                    "active": self.shedding.is_on,
                    "since": _time(self.shedding.since_ms),
                    "lag_records": self.shedding.measured,
                },
            },
            "groups": [
                {
                    "group": group.group,
                    **_verdict(group.verdict),
                    "topics": [_topic(topic) for topic in group.topics],
                }
                for group in self.groups
            ],
        }


def without_data(report: Json, reason: str) -> Json:
    """Return the report with every state NO-DATA since it was sampled, and every figure null.

    Its `sampled_at` stays, so that everybody sees how old it is.
    """
    no_data = {
        "state": LagState.NO_DATA.value,
        "since": report["sampled_at"],
        "reason": reason,
        "runbook": RUNBOOKS[LagState.NO_DATA],
    }
    overload = {name: dict.fromkeys(switch) for name, switch in report["overload"].items()}
    return {
        "sampled_at": report["sampled_at"],
        "overload": overload,
        "groups": [_emptied(group, no_data) for group in report["groups"]],
    }


def _emptied(row: Json, no_data: Mapping[str, str]) -> Json:
    emptied = {name: value if name in _IDENTITY else no_data.get(name) for name, value in row.items()}
    for name in ("topics", "partitions"):
        if name in row:
            emptied[name] = [_emptied(below, no_data) for below in row[name]]
    return emptied


def _topic(topic: TopicLag) -> Json:
    return {
        "topic": topic.topic,
        "lane": None if topic.lane is None else topic.lane.value,
        **_verdict(topic.verdict),
        "lag_messages": topic.lag_messages,
        "lag_seconds": _rounded(topic.lag_seconds),
        "backlog_deliveries": topic.backlog_deliveries,
        "produced_per_s": _rounded(topic.produced_per_s),
        "consumed_per_s": _rounded(topic.consumed_per_s),
        "drain_s": _rounded(topic.drain_s),
        "skew": _rounded(topic.skew),
        "partitions": [_partition(partition) for partition in topic.partitions],
    }


def _partition(partition: PartitionLag) -> Json:
    return {
        "partition": partition.partition,
        **_verdict(partition.verdict),
        "lag_messages": partition.lag_messages,
        "lag_seconds": _rounded(partition.lag_seconds),
        "committed": partition.committed,
        "start": partition.start,
        "end": partition.end,
        "owner": partition.owner,
        "produced_per_s": _rounded(partition.produced_per_s),
        "consumed_per_s": _rounded(partition.consumed_per_s),
        "drain_s": _rounded(partition.drain_s),
        "retention_used": _rounded(partition.retention_used),
    }


def _at(at_ms: int) -> str:
    return rfc3339(utc_datetime_of_ms(at_ms))


def _verdict(verdict: Verdict) -> Json:
    return {
        "state": verdict.state.value,
        "since": _at(verdict.since_ms),
        "reason": verdict.reason,
        "runbook": RUNBOOKS.get(verdict.state),
    }


def _optional(convert: Callable[[float], Any]) -> Callable[[float | None], Any]:
    return lambda value: None if value is None else convert(value)


_rounded = _optional(lambda value: round(value, 3))
_time = _optional(lambda at_ms: _at(int(at_ms)))
_state = _optional(lambda is_on: "open" if is_on else "closed")
