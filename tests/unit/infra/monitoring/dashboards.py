"""The dashboards of Grafana as they are in the files, and their parts."""

import json
from collections.abc import Iterator
from functools import cache
from typing import Any, TypeAlias

from infra.monitoring.grafana.generating import FOLDER

Json: TypeAlias = dict[str, Any]
# What Grafana puts in the place of its variables: of those of a dashboard, all values.
_VARIABLES = {"$__rate_interval": "5m", "$__range": "6h", "$group": ".*", "$lane": ".*"}


@cache
def dashboards() -> dict[str, Json]:
    """Every dashboard by its uid."""
    found = [json.loads(path.read_text()) for path in sorted(FOLDER.glob("*.json"))]
    return {dashboard["uid"]: dashboard for dashboard in found}


def panels(uid: str | None = None) -> Iterator[tuple[str, Json]]:
    """Every panel that is no row, of one dashboard or of all, with the name for a failure."""
    for dashboard in dashboards().values() if uid is None else [dashboards()[uid]]:
        for panel in dashboard["panels"]:
            if panel["type"] != "row":
                yield f"{dashboard['uid']}: {panel['title']}", panel


def queries() -> Iterator[tuple[str, str]]:
    """Every query, with the name of its panel, as Grafana sends it to Prometheus."""
    for name, panel in panels():
        for target in panel["targets"]:
            yield name, sent(target["expr"])


def sent(expr: str) -> str:
    for variable, text in _VARIABLES.items():
        expr = expr.replace(variable, text)
    return expr
