"""The rules of Prometheus, and the metrics that they may use."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import promql_parser
import yaml

from tests.references import ROOT, Metric, defined_metrics
from tests.unit.infra.monitoring.promql import Labels, result_labels, selectors

PROMETHEUS = ROOT / "infra" / "monitoring" / "prometheus"
EDGE_COUNTERS = ROOT / "infra" / "local" / "edge" / "counters.js"
# What Prometheus itself adds to each scraped sample.
TARGET_LABELS = frozenset({"job", "instance"})
_EDGE_COUNTER = re.compile(r"sample\(lines, '(\w+)', '[^']+',\s*(?:RESULTS\b.*?',(\w+)=|\[)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Rule:
    """An alert or a recording rule; `name` is the alert's or the recorded metric's."""

    file: Path
    group: str
    name: str
    is_alert: bool
    expr: str
    labels: dict[str, str]
    annotations: dict[str, str]

    @property
    def severity(self) -> str:
        return self.labels["severity"]


@cache
def rules() -> tuple[Rule, ...]:
    """Every rule, in the order of the files."""
    return tuple(
        Rule(
            file=path,
            group=group["name"],
            name=rule.get("alert") or rule["record"],
            is_alert="alert" in rule,
            expr=rule["expr"],
            labels=rule.get("labels", {}),
            annotations=rule.get("annotations", {}),
        )
        for path in sorted((PROMETHEUS / "rules").glob("*.yml"))
        for group in yaml.safe_load(path.read_text())["groups"]
        for rule in group["rules"]
    )


def alerts() -> list[Rule]:
    return [rule for rule in rules() if rule.is_alert]


def metrics() -> Iterator[Metric]:
    """Every metric of the product, and those that Prometheus makes of a scrape."""
    for _, defined in defined_metrics():
        yield from defined
    for name, label in _EDGE_COUNTER.findall(EDGE_COUNTERS.read_text()):
        labels = ("role", label) if label else ("role",)
        yield Metric(f"shutterline_edge_{name}_total", "Counter", labels, "")
    yield Metric("up", "Gauge", (), "1 while the target can be scraped.")


@cache
def exported() -> dict[str, frozenset[str]]:
    """The labels of each series that can be scraped, by its name."""
    return {name: labels | TARGET_LABELS for metric in metrics() for name, labels in metric.series().items()}


@cache
def known_labels() -> dict[str, Labels]:
    """The labels of every metric that is exported or recorded. A recorded one may have several rules."""
    known: dict[str, Labels] = {**exported()}
    waiting = [rule for rule in rules() if not rule.is_alert]
    while waiting:
        later = []
        for rule in waiting:
            expr = promql_parser.parse(rule.expr)
            if all(selector.name in known for selector in selectors(expr)):
                labels = result_labels(expr, known) | set(rule.labels)
                known[rule.name] = known.get(rule.name, frozenset()) | labels
            else:
                later.append(rule)
        if len(later) == len(waiting):
            break  # They use what nobody exports, which a test says.
        waiting = later
    return known


def cases() -> Iterator[dict[str, Any]]:
    """Every case of the rules' tests."""
    for path in sorted((PROMETHEUS / "tests").glob("*.yml")):
        yield from yaml.safe_load(path.read_text())["tests"]
