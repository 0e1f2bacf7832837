"""Pages and tickets reach their receivers, and what follows from a known cause is not sent."""

import re
import shutil
import subprocess
from typing import Any

import promql_parser
import pytest
import yaml

from tests.references import ROOT
from tests.unit.infra.monitoring.promql import Labels, result_labels
from tests.unit.infra.monitoring.rules import Rule, alerts, known_labels

CONFIG = ROOT / "infra" / "monitoring" / "alertmanager" / "alertmanager.yml"
_MATCHER = re.compile(r'(\w+) (=~|=) "?([^"]+)"?')
needs_amtool = pytest.mark.skipif(
    shutil.which("amtool") is None, reason="amtool is not installed: apt-get install prometheus-alertmanager"
)


def amtool(*arguments: str) -> str:
    done = subprocess.run(["amtool", *arguments], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()


def inhibitions() -> list[dict[str, Any]]:
    rules: list[dict[str, Any]] = yaml.safe_load(CONFIG.read_text())["inhibit_rules"]
    return rules


def named_by(matchers: list[str]) -> list[Rule]:
    """The alerts that the matchers name."""
    patterns = [
        pattern for text in matchers for label, _, pattern in _MATCHER.findall(text) if label == "alertname"
    ]
    return [alert for alert in alerts() if any(re.fullmatch(pattern, alert.name) for pattern in patterns)]


def matches(matchers: list[str], labels: dict[str, str]) -> bool:
    """Whether an alert with the labels is one that the matchers name; a pattern is of the whole value."""
    return all(
        re.fullmatch(value if operator == "=~" else re.escape(value), labels.get(label, ""))
        for text in matchers
        for label, operator, value in _MATCHER.findall(text)
    )


def inhibits(source: dict[str, str], target: dict[str, str]) -> bool:
    """Whether Alertmanager does not send the target while the source fires."""
    return any(
        matches(rule["source_matchers"], source)
        and matches(rule["target_matchers"], target)
        and all(source.get(label, "") == target.get(label, "") for label in rule.get("equal", []))
        for rule in inhibitions()
    )


def labels_of(alert: Rule) -> Labels:
    return result_labels(promql_parser.parse(alert.expr), known_labels()) | set(alert.labels)


@needs_amtool
def test_the_configuration_is_valid() -> None:
    amtool("check-config", str(CONFIG))


@needs_amtool
@pytest.mark.parametrize("severity", ["page", "ticket"])
def test_an_alert_reaches_the_receiver_of_its_severity(severity: str) -> None:
    """Whatever its other labels are."""
    labels = (f"severity={severity}", "alertname=ConsumerStopped", "group=check")

    assert severity == amtool("config", "routes", "test", f"--config.file={CONFIG}", *labels)


@needs_amtool
def test_an_alert_without_a_severity_is_a_ticket() -> None:
    """Nobody is woken up by what nobody has weighed."""
    assert "ticket" == amtool("config", "routes", "test", f"--config.file={CONFIG}", "alertname=New")


def test_an_inhibition_names_alerts_that_there_are() -> None:
    """Each alternative of a pattern is one; a renamed alert would be sent again beside its cause."""
    names = {alert.name for alert in alerts()}
    unknown = [
        pattern
        for rule in inhibitions()
        for text in (*rule["source_matchers"], *rule["target_matchers"])
        for label, _, patterns in _MATCHER.findall(text)
        if label == "alertname"
        for pattern in patterns.split("|")
        if not any(re.fullmatch(pattern, name) for name in names)
    ]

    assert [] == unknown


def test_an_inhibition_compares_the_labels_that_both_alerts_have() -> None:
    """Otherwise one lane, or one clock, would inhibit the alerts of another. A label that both lack is equal,
    so that any source would inhibit any target."""
    wrong = [
        (source.name, target.name, rule.get("equal", []))
        for rule in inhibitions()
        for source in named_by(rule["source_matchers"])
        for target in named_by(rule["target_matchers"])
        if set(rule.get("equal", [])) != (labels_of(source) & labels_of(target)) - {"severity"}
    ]

    assert [] == wrong


def test_no_alert_inhibits_itself_or_the_other_way_round() -> None:
    """Two that inhibit each other would both not be sent."""
    pairs = {
        (source.name, target.name)
        for rule in inhibitions()
        for source in named_by(rule["source_matchers"])
        for target in named_by(rule["target_matchers"])
    }

    assert set() == {pair for pair in pairs if pair[::-1] in pairs}


def test_only_a_page_inhibits_a_page() -> None:
    """Otherwise nobody would be woken up."""
    wrong = [
        (source.name, target.name)
        for rule in inhibitions()
        for source in named_by(rule["source_matchers"])
        for target in named_by(rule["target_matchers"])
        if (source.severity, target.severity) == ("ticket", "page")
    ]

    assert [] == wrong


@pytest.mark.parametrize(
    "source",
    [
        {"alertname": "MonitorStale", "source": "cassandra"},
        {"alertname": "MonitorStale", "source": "fanout"},
        {"alertname": "StoreBreakerOpen", "dependency": "cassandra", "instance": "worker-1"},
        {"alertname": "StoreBreakerOpen", "dependency": "redis", "instance": "worker-1"},
        {"alertname": "ProcessDown", "instance": "worker-1"},
        {"alertname": "ProcessDown", "instance": "api"},
    ],
    ids=lambda source: "-".join(source.values()),
)
@pytest.mark.parametrize(
    "target", ["ConsumerStopped", "ConsumerStalled", "ConsumerPoison", "ConsumerPaused", "RetentionLoss"]
)
def test_a_page_of_a_group_is_sent_beside(source: dict[str, str], target: str) -> None:
    """One process or one source says nothing of all groups. While Cassandra is away its sample is old and
    breakers are open, so a group that waits for it could never be reported."""
    assert not inhibits(source, {"alertname": target, "group": "edges", "topic": "likes"})


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ({"alertname": "MonitorStale", "source": "kafka"}, "ConsumerPaused"),
        ({"alertname": "MonitorStale", "source": "kafka"}, "ConsumerNoData"),
        ({"alertname": "MonitorStale", "source": "kafka"}, "RetentionLoss"),
        ({"alertname": "MonitorStale", "source": "cassandra"}, "DeadLettersOld"),
        ({"alertname": "ProcessDown", "instance": "worker-2"}, "ConsumerRebalancing"),
        ({"alertname": "ProcessDown", "instance": "monitor"}, "MonitorStale"),
        ({"alertname": "StoreBreakerOpen", "dependency": "redis"}, "ConsumerSlow"),
    ],
    ids=str,
)
def test_what_follows_from_a_known_cause_is_not_sent(source: dict[str, str], target: str) -> None:
    assert inhibits(source, {"alertname": target})


def test_a_process_that_is_no_worker_hides_nothing_of_groups() -> None:
    assert not inhibits({"alertname": "ProcessDown", "instance": "api"}, {"alertname": "ConsumerSlow"})
