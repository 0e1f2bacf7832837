"""The page `/ops`: the lag monitor's report for people, readable without scripts."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, Template

from streams.core.lag.report import Json
from streams.core.lag.states import SEVERITY, LagState

REFRESH_S = (5, 10, 30)
FILTER_CHARACTERS_MAX = 100


@dataclass(frozen=True, slots=True)
class OpsView:
    """What a visitor chose: only lanes whose names or states contain `text`, and a refresh in seconds.

    0 seconds is none.
    """

    text: str = ""
    refresh_s: int = 0

    def includes(self, group: Json, topic: Json) -> bool:
        """Whether the lane is shown."""
        words = f"{group['group']} {topic['topic']} {topic['lane'] or ''} {topic['state']}"
        return self.text.lower() in words.lower()


def ops_page(report: Json, view: OpsView) -> str:
    """Return the page in HTML; the worst lanes come first, of one state those where most waits."""
    lanes = [
        {"group": group["group"], **topic, "heat": _heat(topic)}
        for group in report["groups"]
        for topic in group["topics"]
        if view.includes(group, topic)
    ]
    lanes.sort(key=lambda lane: (-SEVERITY[LagState(lane["state"])], -(lane["lag_messages"] or 0)))
    return _template().render(report=report, lanes=lanes, view=view, refreshes=REFRESH_S)


def _heat(topic: Json) -> Mapping[int, float]:
    """Return for each partition its part of what waits most in one partition, from 0 to 1."""
    waiting = {row["partition"]: row["lag_messages"] or 0 for row in topic["partitions"]}
    most = max([1, *waiting.values()])
    return {partition: messages / most for partition, messages in waiting.items()}


@cache
def _template() -> Template:
    templates = Environment(loader=PackageLoader("api.contract"), autoescape=True)
    templates.filters["figure"] = _figure
    return templates.get_template("ops.html")


def _figure(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:,}" if isinstance(value, int) else f"{value:,.1f}"
