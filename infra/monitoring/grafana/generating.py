"""The dashboards as JSON, of the pages and the alert rules."""

import json
from pathlib import Path

from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    DashboardLinkType,
    VariableHide,
    VariableOption,
    VariableRefresh,
    VariableSort,
)

from infra.monitoring.grafana.drawing import DATASOURCE, REPOSITORY, Alerts, draw
from infra.monitoring.grafana.drift import DATA
from infra.monitoring.grafana.edge import EDGE
from infra.monitoring.grafana.freshness import freshness
from infra.monitoring.grafana.lag import LAG
from infra.monitoring.grafana.media import MEDIA
from infra.monitoring.grafana.overload import OVERLOAD
from infra.monitoring.grafana.overview import overview
from infra.monitoring.grafana.panels import Page, Variable
from infra.monitoring.grafana.rules import read_alerts
from infra.monitoring.grafana.stores import STORES

FOLDER = Path(__file__).parent / "dashboards"
TAG = "shutterline"
# Where the files of the repository can be read. Each dashboard has it as the variable `repository`.
REPOSITORY_URL = "https://git.example/shutterline/blob/main"


def pages(alerts: Alerts) -> tuple[Page, ...]:
    """Return all pages, the overview first."""
    return (overview(alerts), freshness(alerts), LAG, OVERLOAD, MEDIA, STORES, DATA, EDGE)


def generated() -> dict[Path, str]:
    """Return the text of each dashboard's file; the same for the same rules and pages."""
    alerts = read_alerts()
    return {
        FOLDER / f"{page.uid}.json": json.dumps(_dashboard(page, alerts).build(), cls=JSONEncoder, indent=2)
        + "\n"
        for page in pages(alerts)
    }


def _dashboard(page: Page, alerts: Alerts) -> dashboard.Dashboard:
    drawn = (
        dashboard.Dashboard(page.title)
        .uid(page.uid)
        .description(page.text)
        .tags([TAG])
        .readonly()
        .refresh("30s")
        .time("now-6h", "now")
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .link(
            dashboard.DashboardLink("Shutterline")
            .type(DashboardLinkType.DASHBOARDS)
            .tags([TAG])
            .keep_time(True)
        )
        .link(
            dashboard.DashboardLink("Operations")
            .type(DashboardLinkType.LINK)
            .url(f"{REPOSITORY}/docs/operations.md")
            .target_blank(True)
        )
        .with_variable(dashboard.DatasourceVariable("datasource").label("Prometheus").type("prometheus"))
        .with_variable(
            dashboard.TextBoxVariable("repository")
            .default_value(REPOSITORY_URL)
            .hide(VariableHide.HIDE_VARIABLE)
        )
    )
    for variable in page.variables:
        drawn = drawn.with_variable(_variable(variable))
    number = 0
    for row in page.rows:
        number += 1
        drawn = drawn.with_row(dashboard.Row(row.title).id(number))
        for panel in row.panels:
            number += 1
            drawn = drawn.with_panel(draw(panel, alerts, number))
    return drawn


def _variable(variable: Variable) -> dashboard.QueryVariable:
    """All values at first. `.*` matches also series without the label."""
    return (
        dashboard.QueryVariable(variable.name)
        .datasource(DATASOURCE)
        .query(variable.values)
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(VariableSort.ALPHABETICAL_ASC)
        .multi(True)
        .include_all(True)
        .all_value(".*")
        .current(VariableOption(selected=True, text="All", value="$__all"))
    )
