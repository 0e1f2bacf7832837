"""One lane, or all: its state, what waits, and why."""

from infra.monitoring.grafana.panels import (
    COUNT,
    OFF_ON,
    PER_SECOND,
    RATE,
    RATIO,
    SECONDS,
    Column,
    Kind,
    Page,
    Panel,
    Query,
    Row,
    Variable,
    Word,
    quantiles,
    rate,
)
from streams.core.lag.states import SEVERITY, LagState

_COLORS = {
    LagState.RETENTION_RISK: "dark-red",
    LagState.STOPPED: "red",
    LagState.POISON: "red",
    LagState.STALLED: "red",
    LagState.PAUSED: "red",
    LagState.NO_DATA: "#808080",
    LagState.REBALANCING: "orange",
    LagState.SLOW: "orange",
    LagState.HOT: "yellow",
    LagState.OK: "green",
}
STATES = tuple(Word(SEVERITY[state], state.value, _COLORS[state]) for state in LagState)
_OF_LANE = '{group=~"$group",lane=~"$lane"}'
_WHERE = f"shutterline_consumer_state{_OF_LANE}"
_LEGEND = "{{group}} {{topic}} {{lane}}"


def narrowed(matchers: str, matcher: str) -> str:
    """Return the matchers, in braces or empty, with one more."""
    both = ",".join(filter(None, (matchers.strip("{}"), matcher)))
    return f"{{{both}}}"


def state_number(matchers: str = "") -> str:
    """Return the query for the state of each lane as its severity: 0 is OK, and larger is worse."""
    numbers = []
    for state in LagState:
        of_state = narrowed(matchers, f'state="{state.value}"')
        numbers.append(f"(shutterline_consumer_state{of_state} == 1) * {SEVERITY[state]}")
    return f"max by (group, topic, lane) ({' or '.join(numbers)})"


def states(matchers: str = "") -> Panel:
    return Panel(
        "States of the lanes",
        "The verdict of the lag monitor. `shutterline lag` and the page /ops say in a sentence why. "
        "Without a bar the monitor does not run.",
        COUNT,
        (Query(state_number(matchers), _LEGEND),),
        kind=Kind.TIMELINE,
        words=STATES,
        width=24,
        height=9,
    )


def lag_seconds(matchers: str = "") -> Panel:
    return Panel(
        "Lag in seconds",
        "Age of the next record that waits, of the oldest partition; 0 if nothing waits.",
        SECONDS,
        (Query(f"max by (group, topic, lane) (shutterline_consumer_lag_seconds{matchers})", _LEGEND),),
    )


def lag_messages(where: str = "") -> Panel:
    return Panel(
        "Lag in messages",
        "Offsets between the commit and the last stable offset, of all partitions together.",
        COUNT,
        alerts=("ConsumerLagHigh",),
        only_where=where,
    )


def produced_and_consumed(matchers: str = "") -> Panel:
    total = narrowed(matchers, 'layer="total"')
    consumed = (
        "sum by (group, topic) (max by (group, topic, partition)"
        f" (deriv(shutterline_consumer_position{matchers}[{RATE}])))"
    )
    grown = (
        "sum by (group, topic) (max by (group, topic, partition)"
        f" (deriv(shutterline_consumer_lag_messages{total}[{RATE}])))"
    )
    return Panel(
        "Produced and consumed",
        "Offsets a second: how fast workers move on, and how fast the logs grow. If more is produced than "
        "consumed, the lag grows.",
        PER_SECOND,
        (
            Query(consumed, "consumed {{group}} {{topic}}"),
            # Of a group without workers nobody exports a position, and nothing is consumed.
            Query(f"({consumed} + {grown}) or {grown}", "produced {{group}} {{topic}}"),
        ),
    )


def retention(where: str = "") -> Panel:
    return Panel(
        "Part of the log that waits",
        "At 100 % the next record that retention removes was not handled.",
        RATIO,
        alerts=("RetentionRisk", "RetentionLoss"),
        of_metric="shutterline_retention_used_ratio",
        only_where=where,
    )


MONITOR = Panel(
    "Age of what the monitor knows",
    "By source. Without a sample of kafka no alert of lag can be raised.",
    SECONDS,
    alerts=("MonitorStale",),
)
PROCESSES = Panel(
    "Processes that respond to Prometheus",
    "A worker, API, monitor, edge or server whose metrics can be read.",
    COUNT,
    alerts=("ProcessDown",),
    kind=Kind.TIMELINE,
    words=(Word(0, "DOWN"), Word(1, "up")),
    width=12,
)
LANES = Panel(
    "Lanes, the worst first",
    "The verdict of the lag monitor, with what waits.",
    COUNT,
    (
        Query(state_number()),
        Query("max by (group, topic, lane) (shutterline_consumer_lag_seconds)"),
        Query("group:shutterline_waiting_records:sum"),
    ),
    kind=Kind.TABLE,
    columns=(
        Column("Value #A", "state", words=STATES),
        Column("group", "group", "string"),
        Column("topic", "topic", "string"),
        Column("lane", "lane", "string"),
        Column("Value #B", "lag in seconds", SECONDS),
        Column("Value #C", "records that wait", COUNT),
    ),
    width=12,
    height=9,
)


# Lanes that are well would be many rows without news.
_NOT_OK = narrowed(_OF_LANE, 'state!="OK"')
_TOTAL = narrowed(_OF_LANE, 'layer="total"')
_LAYERS = narrowed(_OF_LANE, 'layer=~"unfetched|in_flight"')


def _alarms(title: str, text: str, alerts: tuple[str, ...]) -> Panel:
    return Panel(
        title,
        text,
        COUNT,
        alerts=alerts,
        of_metric="shutterline_consumer_state",
        only_where=f"shutterline_consumer_state{_NOT_OK} == 1",
        kind=Kind.TIMELINE,
        words=OFF_ON,
        width=12,
    )


LAG = Page(
    "shutterline-lag",
    "Shutterline: a lane",
    "The state of a group and lane, what waits for it, and why. Choose the group and lane above.",
    (
        Row(
            "Verdict",
            (
                states(_OF_LANE),
                _alarms(
                    "States that page",
                    "Nothing moves, nothing will, or nobody knows. No row: no lane is so.",
                    (
                        "RetentionLoss",
                        "ConsumerStopped",
                        "ConsumerStalled",
                        "ConsumerPoison",
                        "ConsumerPaused",
                        "ConsumerNoData",
                    ),
                ),
                _alarms(
                    "States that are a ticket",
                    "It moves, but not well. No row: no lane is so.",
                    ("RetentionRisk", "ConsumerSlow", "ConsumerHot", "ConsumerRebalancing"),
                ),
            ),
        ),
        Row(
            "Lag",
            (
                lag_seconds(_OF_LANE),
                lag_messages(_WHERE),
                produced_and_consumed('{group=~"$group"}'),
                Panel(
                    "Time to drain",
                    "Until nothing waits, at the rates of the last minute; no line while the lag grows.",
                    SECONDS,
                    (
                        Query(
                            "max by (group, topic, lane)"
                            f" (shutterline_consumer_time_to_drain_seconds{_OF_LANE})",
                            _LEGEND,
                        ),
                    ),
                ),
                retention(_WHERE),
                Panel(
                    "More workers or fewer",
                    "1: too much waits, more workers would help. -1: fewer workers are enough. An autoscaler "
                    "reads it.",
                    COUNT,
                    (Query(f"group:shutterline_scaling:direction{_OF_LANE}", _LEGEND),),
                ),
                Panel(
                    "Lag by layer",
                    "Unfetched records wait in Kafka; those in flight are with a worker and not committed.",
                    COUNT,
                    (
                        Query(
                            "sum by (group, layer) (max by (group, topic, partition, layer)"
                            f" (shutterline_consumer_lag_messages{_LAYERS}))",
                            "{{group}} {{layer}}",
                        ),
                    ),
                    width=24,
                ),
                Panel(
                    "Messages by partition and time",
                    "Red is the most. One red row among green ones is a hot or stuck partition.",
                    COUNT,
                    (
                        Query(
                            f"max by (group, topic, partition) (shutterline_consumer_lag_messages{_TOTAL})",
                            "{{group}} {{topic}} {{partition}}",
                        ),
                    ),
                    kind=Kind.HEAT,
                    width=24,
                    height=12,
                ),
            ),
        ),
        Row(
            "Work of the lane",
            (
                Panel(
                    "Freshness of the lane",
                    "From a photo's readiness to its being on a page of timelines, of lanes of fan-out.",
                    SECONDS,
                    quantiles(
                        "shutterline_delivery_freshness_seconds", by="lane", matchers='{lane=~"$lane"}'
                    ),
                ),
                Panel(
                    "Deliveries of the lane",
                    "Timelines that were given a photo.",
                    PER_SECOND,
                    (rate("shutterline_deliveries_total", "lane", '{lane=~"$lane"}'),),
                ),
                Panel(
                    "Handling a batch",
                    "From a batch of records being taken to its being handled, with the waits for stores.",
                    SECONDS,
                    quantiles("shutterline_handling_seconds", by="group", matchers='{group=~"$group"}'),
                ),
                Panel(
                    "Delay of the event loop",
                    "By how much the event loop of a worker was late with what was due.",
                    SECONDS,
                    quantiles("shutterline_event_loop_delay_seconds", by="instance"),
                ),
                Panel(
                    "Stopped partitions",
                    "They stopped at the limit of dead letters, and wait for `shutterline resume`.",
                    COUNT,
                    (Query('sum by (group) (shutterline_stopped_partitions{group=~"$group"})', "{{group}}"),),
                ),
            ),
        ),
        Row(
            "Rebalances",
            (
                Panel(
                    "Rebalances in an hour",
                    "Of each consumer of the group: at its start, or because members or partitions changed.",
                    COUNT,
                    (
                        Query(
                            "sum by (group, reason)"
                            ' (increase(shutterline_consumer_rebalances_total{group=~"$group"}[1h]))',
                            "{{group}} {{reason}}",
                        ),
                    ),
                    width=12,
                ),
                Panel(
                    "Length of rebalances",
                    "From a consumer's partitions being revoked to its next ones being assigned.",
                    SECONDS,
                    quantiles(
                        "shutterline_rebalance_duration_seconds", by="group", matchers='{group=~"$group"}'
                    ),
                    width=12,
                ),
            ),
        ),
        Row("The monitor and the processes", (MONITOR.at_width(12), PROCESSES)),
    ),
    (
        Variable("group", "label_values(shutterline_consumer_state, group)"),
        Variable("lane", 'label_values(shutterline_consumer_state{group=~"$group"}, lane)'),
    ),
)
