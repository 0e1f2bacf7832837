"""The alerts and recording rules use what the processes export, and each alert can be acted upon."""

import re
from collections.abc import Iterator
from pathlib import Path

import promql_parser
import pytest

from streams.core.lag.states import LagState
from tests.references import ROOT
from tests.unit.infra.monitoring.promql import result_labels, selectors, unknown_labels
from tests.unit.infra.monitoring.rules import alerts, cases, known_labels, metrics, rules

RUNBOOKS_INDEX = ROOT / "docs" / "runbooks" / "README.md"
ALERTS_PAGE = ROOT / "docs" / "alerts.md"
_TEMPLATE_LABEL = re.compile(r"\$labels\.(\w+)")
_LISTED = re.compile(r"^\| \[(\w+)\]\((?:runbooks/)?([\w-]+)\.md\) \| (\w+) \|", re.MULTILINE)
_ALERTS_SELECTOR = re.compile(r'ALERTS\{alertname="(\w+)",alertstate="firing"\}')


def kebab(name: str) -> str:
    """`ConsumerStopped` as `consumer-stopped`."""
    return re.sub(r"(?<!^)(?=[A-Z])", "-", name).lower()


def usable() -> Iterator[tuple[str, promql_parser.Expr]]:
    """The rules whose metrics are all known, with their expressions."""
    known = known_labels()
    for rule in rules():
        expr = promql_parser.parse(rule.expr)
        if all(selector.name in known for selector in selectors(expr)):
            yield rule.name, expr


def test_every_metric_of_a_rule_is_exported_or_recorded() -> None:
    """An alert on a metric that nobody exports never fires. Names are compared with their suffixes."""
    names = known_labels().keys()
    unknown = {
        f"{rule.name}: {selector.name}"
        for rule in rules()
        for selector in selectors(promql_parser.parse(rule.expr))
        if selector.name not in names
    }

    assert set() == unknown


def test_every_label_of_a_rule_is_one_of_its_metric() -> None:
    """A matcher of a label that is not there matches nothing; one in `by` makes one group of all."""
    known = known_labels()

    assert [] == [f"{name}: {label}" for name, expr in usable() for label in unknown_labels(expr, known)]


def test_every_bucket_of_a_rule_is_one_of_its_histogram() -> None:
    """A share is counted with the bucket of the objective, which must exist as Python writes its bound."""
    buckets = {
        f"{metric.name}_bucket": {str(float(bound)) for bound in metric.buckets} for metric in metrics()
    }
    wrong = [
        f"{name}: {matcher.value}"
        for name, expr in usable()
        for selector in selectors(expr)
        for matcher in selector.matchers.matchers
        if matcher.name == "le" and matcher.value not in buckets[selector.name or ""]
    ]

    assert [] == wrong


def test_every_state_of_the_monitor_that_needs_somebody_has_an_alert() -> None:
    """OK needs nobody."""
    alarmed = {
        matcher.value
        for rule in alerts()
        for selector in selectors(promql_parser.parse(rule.expr))
        for matcher in selector.matchers.matchers
        if selector.name == "shutterline_consumer_state" and matcher.name == "state"
    }

    assert {state.value for state in LagState} - {"OK"} == alarmed


def test_an_alert_names_only_labels_that_it_has() -> None:
    """A label that an alert lacks is an empty word in its sentence."""
    known = known_labels()
    expressions = dict(usable())
    missing = [
        f"{alert.name}: {label}"
        for alert in alerts()
        if alert.name in expressions
        for text in alert.annotations.values()
        for label in _TEMPLATE_LABEL.findall(text)
        if label not in result_labels(promql_parser.parse(alert.expr), known) | set(alert.labels)
    ]

    assert [] == missing


def test_every_alert_says_how_urgent_it_is_and_what_to_read() -> None:
    """The runbook has the alert's name, and is there: who is woken up opens it first."""
    for alert in alerts():
        assert (ROOT / alert.annotations["runbook"]).is_file(), alert.name
        assert {"summary", "description", "runbook", "dashboard"} == alert.annotations.keys(), alert.name
        assert alert.severity in {"page", "ticket"}, alert.name
        assert f"docs/runbooks/{kebab(alert.name)}.md" == alert.annotations["runbook"]


def test_every_alert_is_seen_to_fire_and_to_be_silent() -> None:
    """`promtool test rules` runs the cases in `infra/monitoring/prometheus/tests`."""
    fires: set[str] = set()
    silent: set[str] = set()
    for case in cases():
        for look in case.get("promql_expr_test", []):
            fires |= set(_ALERTS_SELECTOR.findall(look["expr"] if look.get("exp_samples") else ""))
        silent |= {
            look["alertname"] for look in case.get("alert_rule_test", []) if not look.get("exp_alerts")
        }

    names = {alert.name for alert in alerts()}
    assert (names, names) == (fires, silent)


@pytest.mark.parametrize("page", [ALERTS_PAGE, RUNBOOKS_INDEX], ids=lambda page: page.parent.name)
def test_a_list_of_alerts_has_each_with_its_severity(page: Path) -> None:
    """They are written by hand, and the rules are the truth."""
    listed = _LISTED.findall(page.read_text())

    assert sorted({(alert.name, kebab(alert.name), alert.severity) for alert in alerts()}) == sorted(listed)
