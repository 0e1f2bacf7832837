"""The monitor's metrics, set from its report at each scrape. What is unknown has no sample."""

from collections.abc import Mapping
from math import isfinite

from prometheus_client import Gauge

from streams.core.lag.report import Json
from streams.core.lag.states import LagState

LAG_MESSAGES = Gauge(
    "shutterline_consumer_lag_messages",
    "Offsets between the group's commit and the last stable offset; the layer `total` is all of them.",
    ["group", "topic", "partition", "lane", "layer"],
)
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
