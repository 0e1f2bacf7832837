"""An alert is taken apart into what a panel draws, and its bounds become the colours of a panel."""

from pathlib import Path

import pytest
import yaml

from infra.monitoring.grafana.drawing import draw
from infra.monitoring.grafana.levels import level_of, threshold_steps
from infra.monitoring.grafana.panels import Color, Level, Panel
from infra.monitoring.grafana.rules import Alert, Comparison, read_alerts
from tests.unit.infra.monitoring.dashboards import Json


def alert(tmp_path: Path, expr: str, *recorded: tuple[str, str], severity: str = "page") -> Alert:
    """The alert of a file of rules: the recorded ones, then this one."""
    rules: list[Json] = [{"record": name, "expr": text} for name, text in recorded]
    annotations = {"runbook": "docs/runbooks/late.md", "dashboard": "shutterline-lag"}
    rules.append(
        {"alert": "Late", "expr": expr, "labels": {"severity": severity}, "annotations": annotations}
    )
    (tmp_path / "rules.yml").write_text(yaml.safe_dump({"groups": [{"name": "one", "rules": rules}]}))
    (found,) = read_alerts(tmp_path)["Late"]
    return found


def test_a_guard_against_few_events_is_not_drawn(tmp_path: Path) -> None:
    """It has another unit than what it guards."""
    found = alert(tmp_path, "(max(age) > 2 * 3600 and sum(increase(n_total[5m])) >= 100) or max(age) > 86400")

    assert [("max(age)", ">", 7_200), ("max(age)", ">", 86_400)] == [
        (comparison.measured, comparison.operator, comparison.bound) for comparison in found.comparisons
    ]


def test_a_bound_that_is_measured_is_a_query(tmp_path: Path) -> None:
    """A panel draws it as a line of its own."""
    (comparison,) = alert(tmp_path, "sum(rate(n_total[5m])) > 5 * avg(usual)").comparisons

    assert (None, "5 * avg(usual)") == (comparison.bound, comparison.bound_expr)


def test_a_series_that_is_away_is_not_drawn(tmp_path: Path) -> None:
    """`absent` is 1 or nothing, and the other side is in seconds."""
    found = alert(tmp_path, 'max by (source) (age) > 30 or absent(age{source="kafka"}) == 1')

    assert ["max by (source)(age)"] == [comparison.measured for comparison in found.comparisons]


def test_what_silences_an_alert_is_not_drawn(tmp_path: Path) -> None:
    """It has a bound at which the alert does not fire."""
    found = alert(tmp_path, "max(age) > 30 unless max(load) > 9")

    assert ["max(age)"] == [comparison.measured for comparison in found.comparisons]


def test_the_labels_and_the_window_of_a_recorded_series_are_known(tmp_path: Path) -> None:
    """They are its legend."""
    (comparison,) = alert(
        tmp_path,
        "lane:error:ratio_rate1h > 14.4 * 0.001",
        ("lane:error:ratio_rate1h", "sum by (lane) (rate(n_total[1h])) / sum by (lane) (rate(m_total[1h]))"),
    ).comparisons

    assert (("lane",), "1h", 0.0144) == (comparison.labels, comparison.window, comparison.bound)


def test_a_quantile_is_told_apart_by_all_labels_but_that_of_the_buckets(tmp_path: Path) -> None:
    (comparison,) = alert(
        tmp_path, "histogram_quantile(0.99, sum by (lane, le) (rate(wait_bucket[5m]))) > 30"
    ).comparisons

    assert ("lane",) == comparison.labels


def test_an_alert_that_compares_nothing_is_refused(tmp_path: Path) -> None:
    """No panel could show how far it is from its bound."""
    with pytest.raises(ValueError, match="Late compares nothing"):
        alert(tmp_path, 'absent(up{job="monitor"}) == 1')


def comparison(operator: str, bound: float | None) -> Comparison:
    return Comparison("n", operator, bound, "", (), "")


@pytest.mark.parametrize(
    ("operator", "bound", "severity", "level"),
    [
        (">", 30, "page", Level(30, Color.RED)),
        (">", 30, "ticket", Level(30, Color.ORANGE)),
        ("<", 0.95, "ticket", Level(0.95, Color.ORANGE, is_floor=True)),
        ("==", 1, "page", Level(1, Color.RED)),
        ("==", 0, "page", Level(1, Color.RED, is_floor=True)),
        (">", None, "page", None),
    ],
)
def test_a_bound_is_a_level_with_the_colour_of_the_severity(
    tmp_path: Path, operator: str, bound: float | None, severity: str, level: Level | None
) -> None:
    """What pages is red, what is a ticket is orange."""
    assert level == level_of(alert(tmp_path, "n > 1", severity=severity), comparison(operator, bound))


@pytest.mark.parametrize(
    ("levels", "steps"),
    [
        ([], [(None, "green")]),
        (
            [Level(0.75, Color.RED), Level(0.5, Color.ORANGE)],
            [(None, "green"), (0.5, "orange"), (0.75, "red")],
        ),
        (
            [Level(0.85, Color.ORANGE, is_floor=True), Level(0.7, Color.RED, is_floor=True)],
            [(None, "red"), (0.7, "orange"), (0.85, "green")],
        ),
        ([Level(1, Color.RED), Level(1, Color.ORANGE)], [(None, "green"), (1, "red")]),
    ],
)
def test_levels_are_steps_from_the_lowest_value_on(
    levels: list[Level], steps: list[tuple[float | None, str]]
) -> None:
    """Grafana gives a value the colour of the last step that is not above it."""
    assert steps == [(step.value, step.color) for step in threshold_steps(levels)]


def test_floors_and_ceilings_do_not_share_a_panel() -> None:
    """No colour would be right between them."""
    with pytest.raises(ValueError, match="floors and ceilings"):
        threshold_steps([Level(1, Color.RED), Level(2, Color.RED, is_floor=True)])


def test_a_panel_shows_of_an_alert_only_what_it_asks_for(tmp_path: Path) -> None:
    """An alert may compare figures of two units; then two panels explain it."""
    found = alert(tmp_path, "max(age_seconds) > 60 or sum(failed) > 3")
    panel = Panel("Age", "Of what?", "s", alerts=("Late",), of_metric="age_seconds")

    drawn = draw(panel, {"Late": (found,)}, 1).build()

    assert ["max(age_seconds)"] == [vars(target)["expr"] for target in drawn.targets or []]
    assert drawn.field_config is not None
    assert drawn.field_config.defaults.thresholds is not None
    assert [None, 60] == [step.value for step in drawn.field_config.defaults.thresholds.steps]


def test_a_panel_of_an_alert_without_a_rule_is_refused() -> None:
    """The alert was renamed or removed."""
    with pytest.raises(KeyError, match="Late"):
        draw(Panel("Age", "Of what?", "s", alerts=("Late",)), {}, 1)
