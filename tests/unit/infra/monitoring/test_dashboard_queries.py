"""Prometheus itself runs every query of the dashboards, on samples made up for what the queries select.

This finds what parsing does not: a series that matches several others, labels that two sides do not share,
and queries that never have a result.
"""

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import promql_parser
import pytest
import yaml
from promql_parser import Matcher, MatchOp, VectorSelector

from tests.unit.infra.monitoring.dashboards import Json, queries
from tests.unit.infra.monitoring.promql import selectors
from tests.unit.infra.monitoring.rules import PROMETHEUS, exported, known_labels, rules

pytestmark = pytest.mark.skipif(
    shutil.which("promtool") is None, reason="promtool is not installed: apt-get install prometheus"
)
RULES = sorted((PROMETHEUS / "rules").glob("*.yml"))
# Some bounds are averages that end an hour ago.
MINUTES = 75


def test_every_query_runs_and_has_a_result(tmp_path: Path) -> None:
    """A panel whose query fails, or never has a result, is found here and not at night."""
    recorded = {f"query:{index}": expr for index, expr in enumerate(known_queries())}
    (tmp_path / "queries.yml").write_text(yaml.safe_dump({"groups": [recording(recorded)]}))
    (tmp_path / "case.yml").write_text(
        yaml.safe_dump(
            {
                "rule_files": [str(path) for path in (*RULES, tmp_path / "queries.yml")],
                "evaluation_interval": "5m",
                "group_eval_order": [*dict.fromkeys(rule.group for rule in rules()), "queries"],
                "tests": [case(recorded)],
            }
        )
    )

    done = subprocess.run(
        ["promtool", "test", "rules", tmp_path / "case.yml"], capture_output=True, text=True, check=False
    )

    assert recorded
    named = re.sub(r"query:\d+", lambda found: f"{found[0]} = {recorded[found[0]]}", done.stderr)
    assert done.returncode == 0, named + done.stdout


def known_queries() -> Iterator[str]:
    """Every query once, if all that it asks for is there; another test says what is not."""
    names = {*known_labels(), "ALERTS"}
    for expr in dict.fromkeys(expr for _, expr in queries()):
        if all(selector.name in names for selector in selectors(promql_parser.parse(expr))):
            yield expr


def recording(recorded: dict[str, str]) -> Json:
    return {
        "name": "queries",
        "rules": [{"record": name, "expr": expr} for name, expr in recorded.items()],
    }


def case(recorded: dict[str, str]) -> Json:
    """All queries run. Of those for series that appear the result is empty, because none does."""
    return {
        "interval": "1m",
        "input_series": [
            {"series": name, "values": f"1+{1 if is_counter else 0}x{MINUTES}"}
            for name, is_counter in dict.fromkeys(samples())
        ],
        "promql_expr_test": [
            {
                "expr": f"clamp_max(count({name}), 1)",
                "eval_time": f"{MINUTES}m",
                "exp_samples": [{"labels": "{}", "value": 1}],
            }
            for name, expr in recorded.items()
            if " unless " not in expr
        ],
    }


def samples() -> Iterator[tuple[str, bool]]:
    """Series, and whether they are counters: for each selector one with the labels that it asks for, and for
    each of these labels one that has another value of it."""
    for selector in all_selectors():
        name = selector.name or ""
        asked = {matcher.name: matching(matcher) for matcher in selector.matchers.matchers}
        for metric in [name] if name in exported() else exported_for(name):
            labels = dict.fromkeys(exported()[metric], "some") | {
                label: value for label, value in asked.items() if label in exported()[metric]
            }
            is_counter = metric.endswith(("_total", "_bucket", "_count", "_sum"))
            if metric.endswith("_bucket"):
                yield series(metric, labels | {"le": "+Inf"}), is_counter
                labels["le"] = asked.get("le", "0.1")
            yield series(metric, labels), is_counter
            for label in labels.keys() - {"le"}:
                yield series(metric, labels | {label: "other"}), is_counter


def all_selectors() -> Iterator[VectorSelector]:
    for expr in [*known_queries(), *(rule.expr for rule in rules())]:
        yield from selectors(promql_parser.parse(expr))


def exported_for(recorded: str) -> set[str]:
    """The exported metrics that a recorded one is made of."""
    used = {
        selector.name or ""
        for rule in rules()
        if rule.name == recorded
        for selector in selectors(promql_parser.parse(rule.expr))
    }
    return used & exported().keys()


def matching(matcher: Matcher) -> str:
    """A value that the matcher selects."""
    if matcher.op == MatchOp.Equal:
        return matcher.value
    if matcher.op == MatchOp.Re:
        return matcher.value.split("|")[0].replace(".*", "some").replace("..", "00")
    return "some"


def series(name: str, labels: dict[str, str]) -> str:
    matchers = ",".join(f'{label}="{value}"' for label, value in sorted(labels.items()))
    return f"{name}{{{matchers}}}"
