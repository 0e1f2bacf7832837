"""The alert rules of Prometheus, taken apart for dashboards: what an alert compares, and with which bound.

So a bound is written once, in the rule. Rules write the guard against too few events with `>=` and a number,
and nothing else so. A guard has another unit than what it guards; panels show it in words only.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import promql_parser
import yaml
from promql_parser import (
    AggregateExpr,
    BinaryExpr,
    Call,
    Expr,
    MatrixSelector,
    NumberLiteral,
    ParenExpr,
    UnaryExpr,
    VectorSelector,
)

RULES = Path(__file__).parents[1] / "prometheus" / "rules"
_COMPARING = {">", "<", ">=", "<=", "==", "!="}
_JOINING = {"and", "or", "unless"}
# Prometheus itself gives each target this series.
_SCRAPED = {"up": ("job", "instance")}
# Of a recorded rate, or of a range.
_WINDOW = re.compile(r"(?:rate|increase|\[)(\d+[smhd])(?:$|[\]{])")


@dataclass(frozen=True, slots=True)
class Comparison:
    """One comparison of an alert: `measured operator bound`.

    `bound_expr` is a query if the bound is itself measured; then `bound` is None. `window` is the time over
    which is measured, or empty. `labels` tell the series of `measured` apart.
    """

    measured: str
    operator: str
    bound: float | None
    bound_expr: str
    labels: tuple[str, ...]
    window: str


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert rule. Rules of several severities or bounds may have one name."""

    name: str
    expr: str
    pending: str  # As Prometheus writes durations; empty if the alert fires at once.
    severity: str
    runbook: str
    dashboard: str
    comparisons: tuple[Comparison, ...]


def read_alerts(folder: Path = RULES) -> dict[str, tuple[Alert, ...]]:
    """Return the alert rules by name, in the order of the files.

    Raises:
        ValueError: An expression is not PromQL, or an alert compares nothing that can be shown.
    """
    rules = [rule for path in sorted(folder.glob("*.yml")) for rule in _rules(path)]
    recorded: dict[str, tuple[str, ...]] = {}
    for rule in rules:
        if "record" in rule:
            labels = (*_labels(promql_parser.parse(rule["expr"]), recorded), *rule.get("labels", {}))
            recorded[rule["record"]] = tuple(dict.fromkeys((*recorded.get(rule["record"], ()), *labels)))
    alerts: dict[str, tuple[Alert, ...]] = {}
    for rule in rules:
        if "alert" in rule:
            alerts[rule["alert"]] = (*alerts.get(rule["alert"], ()), _alert(rule, recorded))
    return alerts


def _rules(path: Path) -> Iterator[dict[str, Any]]:
    for group in yaml.safe_load(path.read_text())["groups"]:
        yield from group["rules"]


def _alert(rule: dict[str, Any], recorded: Mapping[str, tuple[str, ...]]) -> Alert:
    comparisons = tuple(_comparisons(promql_parser.parse(rule["expr"]), recorded))
    if not comparisons:
        raise ValueError(f"the alert {rule['alert']} compares nothing that can be shown: {rule['expr']}")
    return Alert(
        name=rule["alert"],
        expr=rule["expr"].strip(),
        pending=rule.get("for", ""),
        severity=rule["labels"]["severity"],
        runbook=rule["annotations"]["runbook"],
        dashboard=rule["annotations"]["dashboard"],
        comparisons=comparisons,
    )


def _comparisons(expr: Expr, recorded: Mapping[str, tuple[str, ...]]) -> Iterator[Comparison]:
    if isinstance(expr, ParenExpr):
        yield from _comparisons(expr.expr, recorded)
    elif isinstance(expr, BinaryExpr) and str(expr.op) in _JOINING:
        yield from _comparisons(expr.lhs, recorded)
        if str(expr.op) != "unless":
            yield from _comparisons(expr.rhs, recorded)
    elif isinstance(expr, BinaryExpr) and str(expr.op) in _COMPARING:
        bound = _constant(expr.rhs)
        is_guard = str(expr.op) == ">=" and bound is not None
        # Where a series is absent, its panel has no line.
        is_absence = isinstance(expr.lhs, Call) and expr.lhs.func.name == "absent"
        if not is_guard and not is_absence:
            measured = _one_line(expr.lhs)
            window = _WINDOW.search(measured)
            yield Comparison(
                measured=measured,
                operator=str(expr.op),
                bound=bound,
                bound_expr=_one_line(expr.rhs) if bound is None else "",
                labels=_labels(expr.lhs, recorded),
                window="" if window is None else window[1],
            )


def _one_line(expr: Expr) -> str:
    return re.sub(r"\s+", " ", str(expr).replace("{}", ""))


def _constant(expr: Expr) -> float | None:
    """Return the number that an expression of numbers comes to, or None for any other expression."""
    if isinstance(expr, NumberLiteral):
        return expr.val
    if isinstance(expr, ParenExpr):
        return _constant(expr.expr)
    if isinstance(expr, BinaryExpr) and str(expr.op) == "*":
        left, right = _constant(expr.lhs), _constant(expr.rhs)
        # 6 * 0.001 is 0.006, not what floats make of it.
        return None if left is None or right is None else round(left * right, 9)
    return None


def _labels(expr: Expr, recorded: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    """Return the labels that tell the series of an expression apart; none for what is not aggregated."""
    if isinstance(expr, AggregateExpr):
        return (
            () if expr.modifier is None else tuple(label for label in expr.modifier.labels if label != "le")
        )
    if isinstance(expr, VectorSelector):
        name = expr.name or ""
        return recorded.get(name, _SCRAPED.get(name, ()))
    if isinstance(expr, MatrixSelector):
        return _labels(expr.vector_selector, recorded)
    if isinstance(expr, ParenExpr | UnaryExpr):
        return _labels(expr.expr, recorded)
    parts: list[Expr] = []
    if isinstance(expr, BinaryExpr):
        parts = [expr.lhs, expr.rhs]
    elif isinstance(expr, Call):
        parts = list(expr.args)
    return next((labels for part in parts if (labels := _labels(part, recorded))), ())
