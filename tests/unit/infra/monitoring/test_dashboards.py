"""The dashboards are those that the rules and panels say, and Grafana can show them.

What is checked of their form: the SDK of Grafana Labs, generated from the published schema of Grafana 11.6,
reads each file and writes it back without a difference. So every field is one of the schema. The SDK does not
check types when it reads; mypy checks those of the calls that build the files. Nothing here starts Grafana.
"""

import json
import re
from itertools import combinations

import promql_parser
import pytest
import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

from infra.monitoring.grafana.generating import FOLDER, generated
from infra.monitoring.grafana.rules import Alert, read_alerts
from streams.core.lag.states import LagState
from tests.unit.infra.monitoring.dashboards import Json, dashboards, panels, queries, sent
from tests.unit.infra.monitoring.promql import Labels, result_labels, selectors, unknown_labels
from tests.unit.infra.monitoring.rules import alerts, known_labels, metrics

COLUMNS = 24
PROVISIONING = FOLDER.parent / "provisioning"
_VARIABLE = re.compile(r"\$\{?(\w+)")


def known() -> dict[str, Labels]:
    """What can be queried: exported, recorded, and the series that Prometheus makes of alerts."""
    labels = known_labels()
    of_alerts: set[str] = {"alertname", "alertstate"}
    for alert in alerts():
        expr = promql_parser.parse(alert.expr)
        if all(selector.name in labels for selector in selectors(expr)):
            of_alerts |= result_labels(expr, labels) | set(alert.labels)
    return {**labels, "ALERTS": of_alerts}


def overlap(one: Json, other: Json) -> bool:
    a, b = one["gridPos"], other["gridPos"]
    return bool(
        a["x"] < b["x"] + b["w"]
        and b["x"] < a["x"] + a["w"]
        and a["y"] < b["y"] + b["h"]
        and b["y"] < a["y"] + a["h"]
    )


def test_the_files_are_as_the_panels_and_the_rules_say() -> None:
    """`make docs` writes them. If this fails, run it again after the change of a panel or a rule."""
    assert generated() == {path: path.read_text() for path in FOLDER.glob("*.json")}


@pytest.mark.parametrize("uid", dashboards())
def test_every_field_of_a_dashboard_is_one_of_the_schema(uid: str) -> None:
    """The SDK leaves out what the schema does not know, and adds what it requires."""
    register_default_plugins()

    read = Dashboard.from_json(json.loads(json.dumps(dashboards()[uid])))

    assert dashboards()[uid] == json.loads(json.dumps(read, cls=JSONEncoder))


@pytest.mark.parametrize("place", ["panel", "options", "target", "field"])
def test_a_field_that_the_schema_does_not_know_is_noticed(place: str) -> None:
    """Otherwise the test before could not fail."""
    register_default_plugins()
    dashboard = json.loads(json.dumps(dashboards()["shutterline-lag"]))
    panel = next(panel for panel in dashboard["panels"] if panel["type"] == "timeseries")
    part = {
        "panel": panel,
        "options": panel["options"],
        "target": panel["targets"][0],
        "field": panel["fieldConfig"]["defaults"]["custom"],
    }[place]
    part["unheardOf"] = 1

    read = Dashboard.from_json(json.loads(json.dumps(dashboard)))

    assert dashboard != json.loads(json.dumps(read, cls=JSONEncoder))


@pytest.mark.parametrize("uid", dashboards())
def test_panels_have_ids_and_places_of_their_own(uid: str) -> None:
    """Grafana moves panels that overlap, and shows one of those with the same id."""
    everything = dashboards()[uid]["panels"]

    ids = [panel["id"] for panel in everything]
    assert sorted(set(ids)) == sorted(ids)
    assert [] == [
        (one["title"], other["title"]) for one, other in combinations(everything, 2) if overlap(one, other)
    ]
    assert [] == [
        panel["title"]
        for panel in everything
        if panel["gridPos"]["x"] + panel["gridPos"]["w"] > COLUMNS or min(panel["gridPos"].values()) < 0
    ]


@pytest.mark.parametrize("uid", dashboards())
def test_panels_of_a_dashboard_have_names_of_their_own(uid: str) -> None:
    """People tell each other which panel to look at."""
    titles = [panel["title"] for _, panel in panels(uid)]

    assert sorted(set(titles)) == sorted(titles)


def test_every_panel_says_what_it_shows_and_in_which_unit() -> None:
    """A number without a unit is read wrongly at night."""
    for name, panel in panels():
        assert panel["description"].endswith((".", "```")), name
        assert panel["fieldConfig"]["defaults"]["unit"], name
        assert panel["targets"], name


def test_every_variable_of_a_dashboard_is_defined() -> None:
    """Grafana sends a variable that it does not know as it is written."""
    for uid, dashboard in dashboards().items():
        defined = {variable["name"] for variable in dashboard["templating"]["list"]}
        used = set(_VARIABLE.findall(json.dumps(dashboard["panels"]) + json.dumps(dashboard["links"])))

        assert used - {"__rate_interval", "__range"} <= defined, uid


def test_every_query_is_promql() -> None:
    """A query that does not parse shows an error instead of a line."""
    for name, expr in queries():
        try:
            promql_parser.parse(expr)
        except ValueError as error:
            pytest.fail(f"{name}: {expr}: {error}")


def test_every_metric_of_a_query_is_exported_or_recorded() -> None:
    """A panel of a metric that nobody exports stays empty."""
    names = known().keys()

    assert set() == {
        f"{name}: {selector.name}"
        for name, expr in queries()
        for selector in selectors(promql_parser.parse(expr))
        if selector.name not in names
    }


def test_every_label_of_a_query_is_one_of_its_metric() -> None:
    """A matcher of a label that is not there matches nothing; one in `by` makes one group of all."""
    labels = known()
    parsed = [(name, promql_parser.parse(expr)) for name, expr in queries()]

    assert [] == [
        f"{name}: {label}"
        for name, expr in parsed
        if all(selector.name in labels for selector in selectors(expr))
        for label in unknown_labels(expr, labels)
    ]


def test_the_lines_of_a_panel_have_legends_of_their_own() -> None:
    """Two lines with one name cannot be told apart."""
    for name, panel in panels():
        legends = [target["legendFormat"] for target in panel["targets"]]

        assert panel["type"] == "table" or sorted(set(legends)) == sorted(legends), name


def test_every_legend_names_labels_that_its_series_have() -> None:
    """Another label is an empty word in the legend."""
    labels = known()
    for name, panel in panels():
        for target in panel["targets"]:
            expr = promql_parser.parse(sent(target["expr"]))
            if all(selector.name in labels for selector in selectors(expr)):
                named = set(re.findall(r"{{(\w+)}}", target["legendFormat"]))

                assert named <= result_labels(expr, labels), f"{name}: {target['legendFormat']}"


def test_every_bucket_of_a_query_is_one_of_its_histogram() -> None:
    """A bucket that is not there counts nothing."""
    buckets = {
        f"{metric.name}_bucket": {str(float(bound)) for bound in metric.buckets} for metric in metrics()
    }

    assert [] == [
        f"{name}: {matcher.value}"
        for name, expr in queries()
        for selector in selectors(promql_parser.parse(expr))
        for matcher in selector.matchers.matchers
        if matcher.name == "le" and matcher.value not in buckets[selector.name or ""]
    ]


def test_no_query_adds_up_the_layers_of_the_lag() -> None:
    """`total` is all of them."""
    chosen = [
        (name, "layer" in {matcher.name for matcher in selector.matchers.matchers})
        for name, expr in queries()
        for selector in selectors(promql_parser.parse(expr))
        if selector.name == "shutterline_consumer_lag_messages"
    ]

    assert chosen
    assert [] == [name for name, has_layer in chosen if not has_layer]


def unit_of(expr: str) -> str:
    """The unit of a query, of what it does and of the names of its metrics."""
    if re.search(r"[_:]ratio", expr) or re.search(r"\) / ", expr):
        return "percentunit"
    if "bytes" in expr:
        return "binBps" if "rate(" in expr else "bytes"
    if "histogram_quantile" in expr or expr.startswith("time() -"):
        return "s"
    if "rate(" in expr or "deriv(" in expr or ":rate" in expr or "per_second" in expr:
        return "eps"
    return "s" if re.search(r"_seconds\b|_seconds:", expr) else "short"


def test_every_panel_has_the_unit_of_its_queries() -> None:
    """Metrics have base units, which their names say."""
    for name, panel in panels():
        if panel["type"] in ("timeseries", "stat", "status-history"):
            units = {unit_of(target["expr"]) for target in panel["targets"]}

            assert {panel["fieldConfig"]["defaults"]["unit"]} == units, name


def test_the_timeline_has_a_word_and_a_number_for_every_state() -> None:
    """The worst has the largest number, as the page /ops has it first."""
    panel = next(panel for _, panel in panels("shutterline-overview") if panel["type"] == "state-timeline")
    (mapping,) = panel["fieldConfig"]["defaults"]["mappings"]
    numbers = {option["text"]: int(number) for number, option in mapping["options"].items()}

    assert [state.value for state in LagState] == sorted(numbers, key=lambda word: -numbers[word])
    for word, number in numbers.items():
        assert f'state="{word}"}} == 1) * {number}' in panel["targets"][0]["expr"]


def every_alert() -> list[Alert]:
    return [alert for rules in read_alerts().values() for alert in rules]


def showing(alert: Alert) -> list[Json]:
    """The panels of the dashboard that an alert names, with the link to its runbook."""
    link = f"${{repository}}/{alert.runbook}"
    return [
        panel for _, panel in panels(alert.dashboard) if link in [entry["url"] for entry in panel["links"]]
    ]


def test_the_alerts_that_are_taken_apart_are_those_of_prometheus() -> None:
    """Both readers of the rules find the same."""
    assert sorted((alert.name, alert.expr.strip()) for alert in alerts()) == sorted(
        (alert.name, alert.expr) for alert in every_alert()
    )


@pytest.mark.parametrize("alert", every_alert(), ids=lambda alert: alert.name)
def test_an_alert_has_a_panel_with_its_expression(alert: Alert) -> None:
    """The dashboard that the alert names shows what it compares, and how urgent it is."""
    found = showing(alert)

    assert found, f"no panel of {alert.dashboard} has the runbook {alert.runbook}"
    for panel in found:
        assert alert.expr in panel["description"]
        assert f"**{alert.name}** ({alert.severity})" in panel["description"]


@pytest.mark.parametrize("alert", every_alert(), ids=lambda alert: alert.name)
def test_every_comparison_of_an_alert_is_drawn_with_its_bound(alert: Alert) -> None:
    """The panel shows how far the figure is from the bound."""
    for comparison in alert.comparisons:
        drawn = [
            panel
            for panel in showing(alert)
            if any(
                target["expr"] in (comparison.measured, f"({comparison.measured})")
                or target["expr"].startswith(f"({comparison.measured}) and on (group, topic, lane)")
                for target in panel["targets"]
            )
        ]

        assert drawn, f"nothing draws {comparison.measured}"
        for panel in drawn:
            steps = [step["value"] for step in panel["fieldConfig"]["defaults"]["thresholds"]["steps"]]
            exprs = [target["expr"] for target in panel["targets"]]
            # `== 0` compares what is 0 or 1: it is true below the step at 1.
            bound = 1 if (comparison.operator, comparison.bound) == ("==", 0) else comparison.bound
            assert bound in steps if bound is not None else comparison.bound_expr in exprs


def test_the_provisioned_data_source_is_a_prometheus_and_the_folder_is_read_only() -> None:
    """The dashboards ask whichever Prometheus is chosen; the provisioned one is the default."""
    (source,) = yaml.safe_load((PROVISIONING / "datasources" / "shutterline.yml").read_text())["datasources"]
    (provider,) = yaml.safe_load((PROVISIONING / "dashboards" / "shutterline.yml").read_text())["providers"]

    assert ("prometheus", True) == (source["type"], source["isDefault"])
    assert ("file", False) == (provider["type"], provider["allowUiUpdates"])
