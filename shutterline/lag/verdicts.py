"""The monitor's report for a terminal: one sentence a lane, the worst first, then their figures."""

from typing import Any

from rich.console import Group
from rich.table import Table

from shutterline.terminal import styled
from streams.core.lag.states import SEVERITY, LagState

Json = dict[str, Any]

STYLES = {
    LagState.OK: "green",
    LagState.NO_DATA: "bright_black",
    LagState.REBALANCING: "yellow",
    LagState.HOT: "yellow",
    LagState.SLOW: "yellow",
}
WORST_STYLE = "bold red"
FIGURES = {
    "waiting": "lag_messages",
    "seconds": "lag_seconds",
    "deliveries": "backlog_deliveries",
    "in/s": "produced_per_s",
    "out/s": "consumed_per_s",
    "drain s": "drain_s",
}
UNKNOWN = "-"


def lanes_of(report: Json) -> list[tuple[str, Json]]:
    """Return each topic or lane with its group, the worst first, of one state those where most waits."""
    lanes = [(group["group"], topic) for group in report["groups"] for topic in group["topics"]]
    return sorted(
        lanes, key=lambda lane: (-SEVERITY[LagState(lane[1]["state"])], -(lane[1]["lag_messages"] or 0))
    )


def shown(report: Json) -> Group:
    """Return the report as rich shows it."""
    lanes = lanes_of(report)
    sentences = [
        styled(
            (f"{topic['state']:<15}", _style(topic["state"])),
            f"{_name(group, topic)} since {topic['since'][:19]}Z: {topic['reason']}{_runbook(topic)}",
        )
        for group, topic in lanes
    ]
    return Group(
        *sentences, *_overload(report["overload"]), "", _table(lanes), f"Sampled at {report['sampled_at']}"
    )


def _table(lanes: list[tuple[str, Json]]) -> Table:
    table = Table(box=None, header_style="bold")
    for title in ("group", "topic", "state"):
        table.add_column(title, no_wrap=True)
    for title in FIGURES:
        table.add_column(title, justify="right")
    table.add_column("owners")
    for group, topic in lanes:
        owners = sorted({row["owner"] for row in topic["partitions"] if row["owner"] is not None})
        table.add_row(
            group,
            topic["topic"],
            styled((topic["state"], _style(topic["state"]))),
            *(_figure(topic[name]) for name in FIGURES.values()),
            ", ".join(owners) or UNKNOWN,
        )
    return table


def _overload(overload: Json) -> list[Any]:
    said = []
    if overload["breaker"]["state"] == "open":
        reason = overload["breaker"]["reason"]
        said.append(
            styled((f"{'breaker':<15}", WORST_STYLE), f"open: {reason} (docs/runbooks/breaker-open.md)")
        )
    if overload["shedding"]["active"]:
        since = overload["shedding"]["since"][:19]
        said.append(
            styled(
                (f"{'shedding':<15}", WORST_STYLE),
                f"posts of small authors are deferred since {since}Z (docs/runbooks/shedding-on.md)",
            )
        )
    return said


def _name(group: str, topic: Json) -> str:
    """Name the lane by its group, which has the topic's name; a group of several topics by both."""
    return group if topic["lane"] else f"{group} {topic['topic']}"


def _runbook(topic: Json) -> str:
    """Say where the steps are; a monitor of the former version names no page."""
    return f" ({topic['runbook']})" if topic.get("runbook") else ""


def _style(state: str) -> str:
    return STYLES.get(LagState(state), WORST_STYLE)


def _figure(value: float | None) -> str:
    if value is None:
        return UNKNOWN
    return f"{value:,}" if isinstance(value, int) else f"{value:,.1f}"
