"""The monitor's metrics, set from its report at each scrape. What is unknown has no sample."""

from collections.abc import Mapping
from math import isfinite

from prometheus_client import Counter, Gauge, Histogram

from streams.core.lag.report import Json
from streams.core.lag.states import LagState
from streams.metrics import LAG_MESSAGES

LAG_SECONDS = Gauge(
    "shutterline_consumer_lag_seconds",
    "Since the timestamp of the record at the group's commit; 0 if nothing waits.",
    ["group", "topic", "partition", "lane"],
)
TIME_TO_DRAIN = Gauge(
    "shutterline_consumer_time_to_drain_seconds",
    "Until nothing waits, at the rates of the last minute; only while the lag shrinks.",
    ["group", "topic", "partition", "lane"],
)
STATE = Gauge(
    "shutterline_consumer_state",
    "1 for the state of a topic or lane of a group.",
    ["group", "topic", "lane", "state"],
)
RETENTION_USED = Gauge(
    "shutterline_retention_used_ratio",
    "The part of the log that waits; at 1 the next record that retention removes was not handled.",
    ["group", "topic", "partition", "lane"],
)
SAMPLE_AGE = Gauge(
    "shutterline_monitor_sample_age_seconds",
    "Age of what the monitor knows, by source: kafka, cassandra, fanout.",
    ["source"],
)
CANARY_FRESHNESS = Histogram(
    "shutterline_canary_freshness_seconds",
    "From the publishing of a post of the canary to its being in its follower's feed over HTTP.",
    # The objective is 5 s, the target is 2 s.
    buckets=(0.1, 0.25, 0.5, 1, 2, 5, 10, 30),
)
CANARY_POSTS = Counter(
    "shutterline_canary_posts",
    "Posts of the canary: seen in time, seen late, or failed, which is not published or never seen.",
    ["outcome"],
)
CANARY_SEEN = Gauge(
    "shutterline_canary_seen_timestamp_seconds", "When a post of the canary was last seen; 0 is never."
)
# For dashboards that know the names of other exporters.
ALIAS_MESSAGES = Gauge(
    "kafka_consumergroup_group_lag", "shutterline_consumer_lag_messages.", ["group", "topic", "partition"]
)
ALIAS_SECONDS = Gauge(
    "kafka_consumergroup_group_lag_seconds",
    "shutterline_consumer_lag_seconds.",
    ["group", "topic", "partition"],
)
_OF_PARTITIONS = (LAG_MESSAGES, LAG_SECONDS, TIME_TO_DRAIN, RETENTION_USED, ALIAS_MESSAGES, ALIAS_SECONDS)


def show(report: Json | None, ages_s: Mapping[str, float]) -> None:
    """Replace all samples by those of the report."""
    for gauge in (*_OF_PARTITIONS, STATE, SAMPLE_AGE):
        gauge.clear()
    for source, age_s in ages_s.items():
        if isfinite(age_s):
            SAMPLE_AGE.labels(source).set(age_s)
    for group in [] if report is None else report["groups"]:
        for topic in group["topics"]:
            lane = topic["lane"] or ""
            for state in LagState:
                STATE.labels(group["group"], topic["topic"], lane, state.value).set(topic["state"] == state)
            for partition in topic["partitions"]:
                _show_partition(group["group"], topic["topic"], lane, partition)


def _show_partition(group: str, topic: str, lane: str, partition: Json) -> None:
    short = (group, topic, str(partition["partition"]))
    labels = (*short, lane)
    for gauge, names, figure in (
        (LAG_MESSAGES, (*labels, "total"), "lag_messages"),
        (LAG_SECONDS, labels, "lag_seconds"),
        (TIME_TO_DRAIN, labels, "drain_s"),
        (RETENTION_USED, labels, "retention_used"),
        (ALIAS_MESSAGES, short, "lag_messages"),
        (ALIAS_SECONDS, short, "lag_seconds"),
    ):
        if partition[figure] is not None:
            gauge.labels(*names).set(partition[figure])
