"""One panel as Grafana's SDK builds it: how each kind is drawn, and what comes from the alert rules."""

from collections.abc import Mapping
from typing import TypeAlias

from grafana_foundation_sdk.builders import (
    common,
    dashboard,
    prometheus,
    stat,
    statetimeline,
    statushistory,
    table,
    timeseries,
)
from grafana_foundation_sdk.models import common as options
from grafana_foundation_sdk.models.dashboard import (
    DashboardLinkType,
    DataSourceRef,
    DataTransformerConfig,
    DynamicConfigValue,
    FieldColorModeId,
    ThresholdsMode,
    ValueMap,
    ValueMappingResult,
)
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from infra.monitoring.grafana.levels import level_of, threshold_steps
from infra.monitoring.grafana.panels import Column, Kind, Level, Panel, Query, Word
from infra.monitoring.grafana.rules import Alert, Comparison

# Variables of every dashboard: which Prometheus, and where the files of this repository can be read.
DATASOURCE = DataSourceRef(type_val="prometheus", uid="${datasource}")
REPOSITORY = "${repository}"

Drawn: TypeAlias = timeseries.Panel | stat.Panel | statetimeline.Panel | statushistory.Panel | table.Panel
Alerts: TypeAlias = Mapping[str, tuple[Alert, ...]]


def draw(panel: Panel, alerts: Alerts, number: int) -> Drawn:
    """Return the panel with its queries, levels, description and links to runbooks; `number` is its id.

    Raises:
        KeyError: The panel names an alert without a rule.
    """
    explained = [alert for name in panel.alerts for alert in alerts[name]]
    shown = shown_comparisons(panel, explained)
    drawn = _KINDS[panel.kind](panel)
    drawn = (
        drawn.id(number)
        .title(panel.title)
        .description(_description(panel, explained))
        .datasource(DATASOURCE)
        .unit(panel.unit)
        .span(panel.width)
        .height(panel.height)
        .links([_runbook_link(alert) for alert in {alert.name: alert for alert in explained}.values()])
    )
    levels = [level for alert, comparison in shown if (level := level_of(alert, comparison)) is not None]
    drawn = _with_levels(drawn, [*levels, *panel.levels])
    if panel.words:
        drawn = drawn.mappings([_value_map(panel.words)])
    for position, query in enumerate(dict.fromkeys((*_alert_queries(panel, shown), *panel.queries))):
        drawn = drawn.with_target(_target(query, position, panel.kind))
    return drawn


def shown_comparisons(panel: Panel, explained: list[Alert]) -> list[tuple[Alert, Comparison]]:
    """Return those comparisons of the alerts of a panel that it draws."""
    return [
        (alert, comparison)
        for alert in explained
        for comparison in alert.comparisons
        if panel.of_metric in comparison.measured
    ]


def _alert_queries(panel: Panel, shown: list[tuple[Alert, Comparison]]) -> list[Query]:
    """Return the queries of what the alerts compare, with what tells their series apart as legends."""
    measured = {(alert.name, comparison.measured) for alert, comparison in shown}
    has_several_alerts = len({name for name, _ in measured}) > 1 and len({expr for _, expr in measured}) > 1
    queries: dict[str, Query] = {}
    for alert, comparison in shown:
        has_several_windows = sum(name == alert.name for name, _ in measured) > 1
        words = [alert.name] if has_several_alerts else []
        words += [comparison.window] if has_several_windows and comparison.window else []
        words += [f"{{{{{label}}}}}" for label in comparison.labels]
        for expr, words_of_expr in (
            (comparison.measured, words),
            (comparison.bound_expr, ["bound", *words]),
        ):
            if expr:
                only = (
                    f"({expr}) and on (group, topic, lane) {panel.only_where}" if panel.only_where else expr
                )
                queries.setdefault(expr, Query(only, " ".join(words_of_expr or [alert.name])))
    return list(queries.values())


def _target(query: Query, position: int, kind: Kind) -> prometheus.Dataquery:
    target = (
        prometheus.Dataquery()
        .ref_id(chr(ord("A") + position))
        .datasource(DATASOURCE)
        .expr(query.expr)
        .legend_format(query.legend or "__auto")
    )
    match kind:
        case Kind.TABLE:
            return target.instant().format(PromQueryFormat.TABLE)
        case Kind.NUMBER:
            return target.instant()
        case _:
            return target.range()


def _description(panel: Panel, explained: list[Alert]) -> str:
    paragraphs = [panel.text]
    for alert in explained:
        pending = f" for {alert.pending}" if alert.pending else ""
        paragraphs += [
            f"**{alert.name}** ({alert.severity}) fires while this is true{pending}:",
            f"```\n{alert.expr}\n```",
        ]
    return "\n\n".join(paragraphs)


def _runbook_link(alert: Alert) -> dashboard.DashboardLink:
    return (
        dashboard.DashboardLink(f"Runbook: {alert.name}")
        .type(DashboardLinkType.LINK)
        .url(f"{REPOSITORY}/{alert.runbook}")
        .target_blank(True)
    )


def _with_levels(drawn: Drawn, levels: list[Level]) -> Drawn:
    drawn = drawn.thresholds(
        dashboard.ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(threshold_steps(levels))
    )
    if levels and isinstance(drawn, timeseries.Panel):
        return drawn.thresholds_style(
            common.GraphThresholdsStyleConfig().mode(options.GraphThresholdsStyleMode.DASHED)
        )
    return drawn


def _value_map(words: tuple[Word, ...]) -> ValueMap:
    return ValueMap(
        {
            str(word.value): ValueMappingResult(text=word.word, color=word.color, index=index)
            for index, word in enumerate(words)
        }
    )


def _by_levels() -> dashboard.FieldColor:
    return dashboard.FieldColor().mode(FieldColorModeId.THRESHOLDS)


def _legend() -> common.VizLegendOptions:
    """The worst series first."""
    return (
        common.VizLegendOptions()
        .show_legend(True)
        .display_mode(options.LegendDisplayMode.TABLE)
        .placement(options.LegendPlacement.BOTTOM)
        .calcs(["lastNotNull", "max"])
        .sort_by("Last *")
        .sort_desc(True)
    )


def _lines(panel: Panel) -> Drawn:
    return (
        timeseries.Panel()
        .color_scheme(dashboard.FieldColor().mode(FieldColorModeId.PALETTE_CLASSIC_BY_NAME))
        .legend(_legend())
        .tooltip(
            common.VizTooltipOptions()
            .mode(options.TooltipDisplayMode.MULTI)
            .sort(options.SortOrder.DESCENDING)
        )
        .axis_soft_min(0)
        .fill_opacity(5)
        .show_points(options.VisibilityMode.NEVER)
    )


def _number(panel: Panel) -> Drawn:
    return (
        stat.Panel()
        .color_scheme(_by_levels())
        .color_mode(options.BigValueColorMode.BACKGROUND)
        .graph_mode(options.BigValueGraphMode.NONE)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
        .no_value("no data")
    )


def _timeline(panel: Panel) -> Drawn:
    return (
        statetimeline.Panel()
        .color_scheme(_by_levels())
        .legend(common.VizLegendOptions().show_legend(False))
        .row_height(0.8)
        .fill_opacity(80)
        .line_width(0)
    )


def _heat(panel: Panel) -> Drawn:
    return (
        statushistory.Panel()
        .color_scheme(dashboard.FieldColor().mode(FieldColorModeId.CONTINUOUS_GR_YL_RD))
        .legend(common.VizLegendOptions().show_legend(False))
        .show_value(options.VisibilityMode.NEVER)
        .fill_opacity(80)
        .line_width(0)
    )


def _table(panel: Panel) -> Drawn:
    """One row for each combination of the labels that all queries have; sorted by the first column."""
    drawn = (
        table.Panel()
        .color_scheme(_by_levels())
        .filterable(True)
        .sort_by([common.TableSortByFieldState().display_name(panel.columns[0].heading).desc(True)])
    )
    names = [column.name for column in panel.columns]
    for transformation, settings in (
        # First, because the queries' times may differ, and rows are joined where all that is left agrees.
        ("filterFieldsByName", {"include": {"names": names}}),
        ("merge", {}),
        (
            "organize",
            {
                "indexByName": {name: index for index, name in enumerate(names)},
                "renameByName": {column.name: column.heading for column in panel.columns},
            },
        ),
    ):
        drawn = drawn.with_transformation(DataTransformerConfig(id_val=transformation, options=settings))
    for column in panel.columns:
        drawn = drawn.override_by_name(column.heading, _column_properties(column))
    return drawn


def _column_properties(column: Column) -> list[DynamicConfigValue]:
    properties = [DynamicConfigValue("unit", column.unit)]
    if column.words:
        properties.append(DynamicConfigValue("mappings", [_value_map(column.words)]))
        properties.append(DynamicConfigValue("custom.cellOptions", {"type": "color-background"}))
    return properties


_KINDS = {
    Kind.LINES: _lines,
    Kind.NUMBER: _number,
    Kind.TIMELINE: _timeline,
    Kind.HEAT: _heat,
    Kind.TABLE: _table,
}
