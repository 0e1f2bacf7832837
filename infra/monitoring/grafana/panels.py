"""What a dashboard shows: rows of panels, each with its queries and the alerts that it explains."""

from dataclasses import dataclass, replace
from enum import Enum

from grafana_foundation_sdk.models import units

# Grafana makes it the distance of two points of the line, and at least four scrapes.
RATE = "$__rate_interval"
PER_SECOND = units.EventsPerSecond
SECONDS = units.Seconds
COUNT = units.Short
RATIO = units.PercentUnit
BYTES = units.BytesIEC
BYTES_PER_SECOND = units.BytesPerSecondIEC
TIMES = "suffix:x"


class Kind(Enum):
    """How a panel draws its queries."""

    LINES = "lines"
    NUMBER = "number"
    # One bar for each series: the value by colour and word.
    TIMELINE = "timeline"
    # One row of cells for each series, coloured by the value.
    HEAT = "heat"
    TABLE = "table"


class Color(Enum):
    """From good to bad, with the names that Grafana gives to them."""

    GREEN = "green"
    ORANGE = "orange"
    RED = "red"


@dataclass(frozen=True, slots=True)
class Query:
    """One query of Prometheus. `{{label}}` in the legend is replaced by the series' label."""

    expr: str
    legend: str = ""


@dataclass(frozen=True, slots=True)
class Level:
    """From `value` on a panel has this colour; below it if `is_floor`."""

    value: float
    color: Color
    is_floor: bool = False


@dataclass(frozen=True, slots=True)
class Word:
    """What a number of a timeline or a table means; without a colour it has that of its level."""

    value: int
    word: str
    color: str | None = None


OFF_ON = (Word(0, "off"), Word(1, "ON"))


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table: a field of the merged queries, and its heading."""

    name: str
    heading: str
    unit: str = COUNT
    words: tuple[Word, ...] = ()


@dataclass(frozen=True, slots=True)
class Panel:
    """One panel: at most 24 wide.

    Of each alert in `alerts` it also draws what the alert compares, with the bounds as levels; with
    `of_metric` only the comparisons of this metric. `only_where` is a series selector: of the alerts' series,
    those are drawn that have its group, topic and lane. A table is sorted by its first column, the largest
    first.
    """

    title: str
    text: str
    unit: str
    queries: tuple[Query, ...] = ()
    alerts: tuple[str, ...] = ()
    of_metric: str = ""
    only_where: str = ""
    kind: Kind = Kind.LINES
    levels: tuple[Level, ...] = ()
    words: tuple[Word, ...] = ()
    columns: tuple[Column, ...] = ()
    width: int = 8
    height: int = 8

    def at_width(self, width: int) -> "Panel":
        return replace(self, width=width)


@dataclass(frozen=True, slots=True)
class Row:
    """A heading and the panels below it, whose widths fill lines of 24."""

    title: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True, slots=True)
class Variable:
    """A choice at the top of a dashboard: values of a label."""

    name: str
    values: str


@dataclass(frozen=True, slots=True)
class Page:
    """One dashboard. Its file is `uid.json`."""

    uid: str
    title: str
    text: str
    rows: tuple[Row, ...]
    variables: tuple[Variable, ...] = ()


def quantiles(metric: str, by: str = "", matchers: str = "") -> tuple[Query, ...]:
    """Return the median, p95 and p99 of a histogram, for each value of the label `by` if there is one."""
    labels = f"{by}, le" if by else "le"
    legend = f"{{{{{by}}}}} " if by else ""
    return tuple(
        Query(
            f"histogram_quantile({share}, sum by ({labels}) (rate({metric}_bucket{matchers}[{RATE}])))",
            f"{legend}{name}",
        )
        for share, name in ((0.5, "p50"), (0.95, "p95"), (0.99, "p99"))
    )


def rate(metric: str, by: str, matchers: str = "") -> Query:
    """Return the rate of a counter a second, for each combination of the labels `by`."""
    legend = " ".join(f"{{{{{label.strip()}}}}}" for label in by.split(","))
    return Query(f"sum by ({by}) (rate({metric}{matchers}[{RATE}]))", legend)
