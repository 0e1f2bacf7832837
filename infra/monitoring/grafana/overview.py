"""The first page: what fires, which lane is worst, what users feel, and the main panels of the others."""

from infra.monitoring.grafana import drift, freshness, lag, media, overload, stores
from infra.monitoring.grafana.drawing import Alerts
from infra.monitoring.grafana.panels import (
    COUNT,
    Color,
    Column,
    Kind,
    Level,
    Page,
    Panel,
    Query,
    Row,
    Word,
)

_SEVERITIES = (Word(2, "page", "red"), Word(1, "ticket", "orange"))
_FIRING = "max by (alertname, group, lane, topic, store, instance)"


def _firing(severity: str) -> str:
    return f'{_FIRING} (ALERTS{{alertstate="firing",severity="{severity}"}})'


def _count(title: str, text: str, expr: str, color: Color) -> Panel:
    return Panel(
        title,
        text,
        COUNT,
        (Query(f"count({expr}) or vector(0)"),),
        kind=Kind.NUMBER,
        levels=(Level(1, color),),
        height=4,
    )


_WORST = (
    _count("Pages", "Alerts that fire now and wake somebody.", _firing("page"), Color.RED),
    _count("Tickets", "Alerts that fire now and can wait for the day.", _firing("ticket"), Color.ORANGE),
    _count(
        "Processes down",
        "Processes whose metrics Prometheus cannot read.",
        "up == 0",
        Color.RED,
    ),
    Panel(
        "What fires",
        "Pages first. Each alert has a panel on one of the other dashboards, with its bound and its runbook.",
        COUNT,
        (Query(f"{_firing('page')} * 2 or {_firing('ticket')}"),),
        kind=Kind.TABLE,
        columns=(
            Column("Value", "severity", words=_SEVERITIES),
            Column("alertname", "alert", "string"),
            Column("group", "group", "string"),
            Column("lane", "lane", "string"),
            Column("topic", "topic", "string"),
            Column("store", "store", "string"),
            Column("instance", "process", "string"),
        ),
        width=12,
        height=9,
    ),
    lag.LANES,
    lag.states(),
)


def overview(alerts: Alerts) -> Page:
    return Page(
        "shutterline-overview",
        "Shutterline: overview",
        "The worst first. Freshness decides, lag explains.",
        (
            Row("The worst first", _WORST),
            Row(
                "What users feel",
                (
                    *freshness.budgets(alerts),
                    freshness.FRESHNESS.at_width(8),
                    freshness.LATE.at_width(8),
                    freshness.CANARY_SEEN,
                    freshness.FEED_LATENCY.at_width(8),
                    freshness.ERRORS.at_width(8),
                    stores.CACHE_HITS,
                ),
            ),
            Row("Lag", (lag.lag_seconds(), lag.lag_messages(), lag.produced_and_consumed())),
            Row(
                "Fan-out",
                (
                    overload.BACKLOG,
                    overload.SWITCHES,
                    overload.DEFERRED,
                    overload.BULK_BUDGET,
                    lag.retention(),
                    lag.MONITOR,
                ),
            ),
            Row("Media", (media.QUEUE, media.WAIT, media.UPLOADS)),
            Row(
                "Stores, data, dead letters",
                (
                    stores.BREAKERS,
                    stores.ERRORS,
                    drift.DRIFT,
                    drift.DEAD_LETTERS_AGE.at_width(12),
                    drift.DEAD_LETTERS.at_width(12),
                ),
            ),
        ),
    )
