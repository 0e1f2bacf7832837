"""The pages in HTML, and the panels of the first one, which a script replaces as they change."""

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any
from urllib.parse import quote

from jinja2 import ChoiceLoader, Environment, PackageLoader
from markupsafe import Markup
from starlette.responses import HTMLResponse

from api.ops import tables
from api.ops.drawing.charts import LEVELS, sparkline
from api.ops.drawing.heat import heat_map, heat_maps, partition_strip
from api.ops.drawing.trends import Trend
from api.ops.facts import Facts, Json
from api.ops.runbooks import address_of
from api.ops.shown import SHOWN, ago, cell, seconds, short_time
from api.ops.verdicts import hidden, verdicts, worst_of
from api.ops.view import REFRESHES, OpsView
from streams.jobs.dead_letters.run import Action

# Stricter than those of the other pages: no style attribute, no picture that is not ours.
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self';"
    " connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    "X-Content-Type-Options": "nosniff",
    # With `no-referrer` browsers would say of our own forms that they come from nowhere: `Origin: null`.
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}
ARROWS = {Trend.GROWS: "▲", Trend.SHRINKS: "▼", Trend.STEADY: "▬"}

Panel = Callable[[Facts, OpsView], Mapping[str, Any]]


def _unknown(facts: Facts) -> str | None:
    """Return why nothing of now is known, and for how long; None if the monitor responds."""
    age_s = facts.age_s(facts.overview["lag"]["sampled_at"])
    return f"Not known for {ago(age_s)}: {facts.unknown}." if facts.unknown else None


def _verdicts(facts: Facts, view: OpsView) -> Mapping[str, Any]:
    found = verdicts(facts, view)
    return {
        "verdicts": found,
        "worst": worst_of(facts),
        "hidden": hidden(facts, view),
        "matches": bool(facts.lanes(view)),
        "report": facts.overview["lag"],
    }


def _lanes(facts: Facts, view: OpsView) -> Mapping[str, Any]:
    history = facts.overview["history"]
    minutes = round(history["step_s"] * len(history["at"]) / 60, 1)
    sparks = {}
    for lane in facts.lanes(view):
        past = facts.past(lane["group"], lane["topic"])
        sparks[tables.lane_address(lane)] = sparkline(
            [] if past is None else past["messages"], minutes, lane["lag_messages"]
        )
    return {"table": tables.lanes(facts, view), "sparks": sparks}


def _heat(facts: Facts, view: OpsView) -> Mapping[str, Any]:
    at = facts.overview["history"]["at"]
    return {"maps": heat_maps(facts, view), "levels": LEVELS, "at": at}


def _overload(facts: Facts, view: OpsView) -> Mapping[str, Any]:
    return {"table": tables.overload(facts, view), "windows": tables.switch_windows(facts, view)}


def _dead_letters(facts: Facts, view: OpsView) -> Mapping[str, Any]:
    return {
        "table": tables.dead_letters(facts, view),
        "runs": tables.runs(facts, view),
        "known": facts.overview["dead_letters"] is not None,
        "counted_age_s": facts.source_age_s(tables.DEAD_LETTERS_SOURCE),
    }


def _processes(facts: Facts, view: OpsView) -> Mapping[str, Any]:
    return {"workers": tables.workers(facts, view), "table": tables.processes(facts, view)}


def _sources(facts: Facts, view: OpsView) -> Mapping[str, Any]:
    return {"table": tables.sources(facts, view), "brokers": tables.brokers(facts, view)}


def _of_table(name: str) -> Panel:
    return lambda facts, view: {"table": tables.TABLES[name](facts, view)}


# In the order of the page, each with its template `panels/NAME.html`.
PANELS: Mapping[str, Panel] = {
    "verdicts": _verdicts,
    "freshness": _of_table("freshness"),
    "lanes": _lanes,
    "heat": _heat,
    "overload": _overload,
    "dead-letters": _dead_letters,
    "processes": _processes,
    "rebalances": _of_table("rebalances"),
    "stores": _of_table("stores"),
    "sources": _sources,
}


def panels(facts: Facts, view: OpsView) -> Mapping[str, str]:
    """Return the inside of each panel in HTML, by the id of its element."""
    unknown = _unknown(facts)
    return {
        name: _templates()
        .get_template(f"panels/{name}.html")
        .render(facts=facts, view=view, unknown=unknown, **panel(facts, view))
        for name, panel in PANELS.items()
    }


def ops_page(facts: Facts, view: OpsView, rendered: Mapping[str, str]) -> HTMLResponse:
    """Return the page of all lanes with its panels, readable without scripts."""
    inside = {name: Markup(html) for name, html in rendered.items()}  # Escaped there.
    return _page("ops.html", panels=inside, worst=worst_of(facts), view=view, refreshes=REFRESHES)


def lane_page(facts: Facts, lane: Json) -> HTMLResponse:
    """Return the page of one lane: its partitions, and what waited in each."""
    return _page(
        "lane.html", facts=facts, lane=lane, table=tables.partitions(lane), heat=heat_map(facts, lane)
    )


def partition_page(facts: Facts, lane: Json, row: Json, record: Json) -> HTMLResponse:
    """Return the page of one partition, with the record at the committed offset; see `records.record_of`."""
    strip = partition_strip(facts, lane, row["partition"])
    return _page("partition.html", facts=facts, lane=lane, row=row, record=record, strip=strip)


def runbook_page(name: str, html: str) -> HTMLResponse:
    """Return a runbook, whose HTML has no tags but those of Markdown."""
    return _page("runbook.html", name=name, html=Markup(html))  # See above.


def dead_letters_page(facts: Facts, view: OpsView, **form: Any) -> HTMLResponse:
    """Return the page on which dead letters are replayed or discarded; `form` is what it has come to."""
    return _page(
        "dead_letters.html",
        facts=facts,
        table=tables.dead_letters(facts, view),
        runs=tables.runs(facts, view),
        actions=list(Action),
        **form,
    )


def _page(template: str, **values: Any) -> HTMLResponse:
    return HTMLResponse(_templates().get_template(template).render(**values), headers=HEADERS)


@cache
def _templates() -> Environment:
    loader = ChoiceLoader([PackageLoader("api.ops"), PackageLoader("api.contract")])
    templates = Environment(loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True)
    templates.filters |= {"figure": SHOWN[tables.Kind.NUMBER], "seconds": seconds, "short_time": short_time}
    templates.globals |= {
        "cell": cell,
        "ago": ago,
        "arrows": {trend.value: arrow for trend, arrow in ARROWS.items()},
        "runbook_address": address_of,
        "lane_address": tables.lane_address,
        "quote": lambda text: quote(text, safe=""),
    }
    return templates
