"""The tables of the page /ops. The page, CSV and JSON are made of the same rows, so they cannot differ."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum, auto
from typing import Any
from urllib.parse import quote

from api.ops.drawing.trends import trend_of
from api.ops.facts import Facts
from api.ops.view import OpsView

Json = dict[str, Any]
DEAD_LETTERS_SOURCE = "dead letters"  # As the monitor names it.


class Kind(Enum):
    """How the values of a column are shown."""

    TEXT = auto()
    STATE = auto()
    NUMBER = auto()
    SECONDS = auto()
    SHARE = auto()  # 0 to 1.
    TIME = auto()  # RFC 3339.
    EXPORTED = auto()  # Not on the page: it says the same as another column.


@dataclass(frozen=True, slots=True)
class Column:
    """`name` is the one in JSON and CSV, with its unit; `title` is the one on the page."""

    name: str
    title: str
    kind: Kind = Kind.TEXT


@dataclass(frozen=True, slots=True)
class Table:
    """`links` has for a row the address behind its first value. None is unknown."""

    name: str
    title: str
    columns: Sequence[Column]
    rows: Sequence[Json]
    links: Sequence[str | None] = field(default=())

    def json(self) -> list[Json]:
        """Return the rows with the columns' values only, as CSV and JSON have them."""
        return [{column.name: row.get(column.name) for column in self.columns} for row in self.rows]


def lane_address(lane: Json) -> str:
    """Return the address of a lane's page."""
    return f"/ops/groups/{quote(lane['group'], safe='')}/{quote(lane['topic'], safe='')}"


def lanes(facts: Facts, view: OpsView) -> Table:
    """Every lane with its figures. `velocity_per_s` is how fast the lag grows; below 0 it shrinks."""
    shown = facts.lanes(view)
    return Table(
        "lanes",
        "Lanes",
        [
            Column("name", "Lane"),
            Column("group", "Group", Kind.EXPORTED),
            Column("topic", "Topic", Kind.EXPORTED),
            Column("state", "State", Kind.STATE),
            Column("lag_messages", "Wait", Kind.NUMBER),
            Column("trend", "Trend"),
            Column("lag_seconds", "Oldest", Kind.SECONDS),
            Column("backlog_deliveries", "Deliveries", Kind.NUMBER),
            Column("produced_per_s", "In/s", Kind.NUMBER),
            Column("consumed_per_s", "Out/s", Kind.NUMBER),
            Column("velocity_per_s", "Growth/s", Kind.NUMBER),
            Column("drain_s", "Drained in", Kind.SECONDS),
            Column("in_time", "Within 5 s", Kind.SHARE),
            Column("retention_used", "Retention", Kind.SHARE),
            Column("skew", "Skew", Kind.NUMBER),
            Column("partitions", "Partitions", Kind.NUMBER),
        ],
        [_lane(facts, lane) for lane in shown],
        [lane_address(lane) for lane in shown],
    )


def _lane(facts: Facts, lane: Json) -> Json:
    past = facts.known_past(lane)
    produced, consumed = lane["produced_per_s"], lane["consumed_per_s"]
    samples = 0 if past is None else past["samples"]
    trend = None if past is None else trend_of(past["messages"])
    used = [row["retention_used"] for row in lane["partitions"] if row["retention_used"] is not None]
    return {
        **lane,
        "trend": None if trend is None else trend.value,
        "velocity_per_s": None if produced is None or consumed is None else round(produced - consumed, 3),
        "in_time": 1 - past["late"] / samples if past is not None and samples else None,
        "retention_used": max(used, default=None),
        "partitions": len(lane["partitions"]),
    }


def partitions(lane: Json) -> Table:
    """The partitions of one lane."""
    address = lane_address(lane)
    return Table(
        "partitions",
        "Partitions",
        [
            Column("partition", "Partition", Kind.NUMBER),
            Column("state", "State", Kind.STATE),
            Column("lag_messages", "Wait", Kind.NUMBER),
            Column("lag_seconds", "Oldest", Kind.SECONDS),
            Column("start", "Start", Kind.NUMBER),
            Column("committed", "Committed", Kind.NUMBER),
            Column("end", "End", Kind.NUMBER),
            Column("produced_per_s", "In/s", Kind.NUMBER),
            Column("consumed_per_s", "Out/s", Kind.NUMBER),
            Column("drain_s", "Drained in", Kind.SECONDS),
            Column("retention_used", "Retention", Kind.SHARE),
            Column("owner", "Owner"),
            Column("reason", "Why"),
        ],
        lane["partitions"],
        [f"{address}/{row['partition']}" for row in lane["partitions"]],
    )


def freshness(facts: Facts, _: OpsView) -> Table:
    """What became of the canary's posts in the last hour; no row if the canary is off."""
    found = facts.overview["freshness"]
    return Table(
        "freshness",
        "Freshness in the last hour",
        [
            Column("posts", "Posts of the canary", Kind.NUMBER),
            Column("in_time", "Seen within 5 s", Kind.SHARE),
            Column("seen", "Seen", Kind.NUMBER),
            Column("late", "Late", Kind.NUMBER),
            Column("failed", "Failed", Kind.NUMBER),
            Column("burn_rate", "Burn rate", Kind.NUMBER),
        ],
        [] if found is None else [found],
    )


def workers(facts: Facts, view: OpsView) -> Table:
    """Each worker: when it said something last, and how it was then if that is not long ago.

    Of an owner that never said anything nothing more is known. Those that are silent come first.
    """
    owned: defaultdict[str, list[Json]] = defaultdict(list)
    for (process, _), part in _owned(facts).items():
        owned[process].append(part)
    reported = {worker["worker"]: worker for worker in facts.workers or []}
    rows = []
    for name in reported.keys() | owned.keys():
        worker = {"worker": name, "state": None, **reported.get(name, {})}
        if not view.includes(name, worker["state"]):
            continue
        if facts.knows_owners:
            for figure in ("partitions", "lag_messages"):
                worker[figure] = sum(part[figure] for part in owned.get(name, ()))
        rows.append(worker)
    return Table(
        "workers",
        "Workers",
        [
            Column("worker", "Worker"),
            Column("state", "State", Kind.STATE),
            Column("age_s", "Last report", Kind.SECONDS),
            Column("partitions", "Partitions", Kind.NUMBER),
            Column("lag_messages", "Wait", Kind.NUMBER),
            Column("loop_delay_ms", "Loop late p99, ms", Kind.NUMBER),
            Column("restarts", "Restarts in 1 h", Kind.NUMBER),
            Column("started_at", "Started (UTC)", Kind.TIME),
        ],
        sorted(rows, key=lambda row: (row["state"] == "OK", -(row.get("lag_messages") or 0), row["worker"])),
    )


def processes(facts: Facts, view: OpsView) -> Table:
    """Who reads how much: the owners of partitions, those with most records waiting first.

    How long a batch takes is what the worker said of the last minute.
    """
    work = {
        (worker["worker"], group["group"]): group
        for worker in facts.workers or []
        for group in worker["groups"]
    }
    rows = [
        {"process": process, "group": group, **part, **work.get((process, group), {})}
        for (process, group), part in _owned(facts).items()
        if view.includes(process, group)
    ]
    return Table(
        "processes",
        "What each worker reads",
        [
            Column("process", "Process"),
            Column("group", "Group"),
            Column("partitions", "Partitions", Kind.NUMBER),
            Column("lag_messages", "Wait", Kind.NUMBER),
            Column("in_flight", "In flight", Kind.NUMBER),
            Column("batches", "Batches/min", Kind.NUMBER),
            Column("p50_ms", "Batch p50, ms", Kind.NUMBER),
            Column("p99_ms", "Batch p99, ms", Kind.NUMBER),
            Column("ms_per_megapixel", "ms/megapixel", Kind.NUMBER),
        ],
        sorted(rows, key=lambda row: (-row["lag_messages"], row["process"], row["group"])),
    )


def _owned(facts: Facts) -> Mapping[tuple[str, str], Json]:
    """Return by owner and group how many partitions it owns, and how much waits there."""
    owned: dict[tuple[str, str], Json] = {}
    for lane in facts.lanes(OpsView()):
        for row in lane["partitions"]:
            if row["owner"] is None:
                continue
            part = owned.setdefault((row["owner"], lane["group"]), {"partitions": 0, "lag_messages": 0})
            part["partitions"] += 1
            part["lag_messages"] += row["lag_messages"] or 0
    return owned


def overload(facts: Facts, _: OpsView) -> Table:
    """The switches, and the deferred posts as this process knows them."""
    said, limits = facts.overview["lag"]["overload"], facts.limits
    breaker, shedding = said["breaker"], said["shedding"]
    active = shedding["active"]
    rows = [
        {
            "what": "breaker (deliveries)",
            "state": None if breaker["state"] is None else breaker["state"].upper(),
            "since": breaker["since"],
            "measured": breaker["backlog_deliveries"],
            "on_above": limits.breaker_open_deliveries,
            "off_below": limits.breaker_close_deliveries,
        },
        {
            "what": "shedding (records)",
            "state": None if active is None else "SHEDDING" if active else "OFF",
            "since": shedding["since"],
            "measured": shedding["lag_records"],
            "on_above": limits.shed_lag_records,
            "off_below": limits.shed_end_lag_records,
        },
        *({"what": f"deferred posts, {push}", "measured": number} for push, number in facts.deferred.items()),
    ]
    return Table(
        "overload",
        "Overload",
        [
            Column("what", "What"),
            Column("state", "State", Kind.STATE),
            Column("measured", "Now", Kind.NUMBER),
            Column("of_limit", "Of limit", Kind.SHARE),
            Column("on_above", "On above", Kind.NUMBER),
            Column("off_below", "Off below", Kind.NUMBER),
            Column("since", "Since (UTC)", Kind.EXPORTED),
        ],
        [{**row, "of_limit": _of_limit(row)} for row in rows],
    )


def _of_limit(row: Json) -> float | None:
    limit, measured = row.get("on_above"), row["measured"]
    return None if limit is None or measured is None else measured / limit


def switch_windows(facts: Facts, _: OpsView) -> Table:
    """From when to when the breaker was open and shedding was active, the newest first."""
    return Table(
        "switch-windows",
        "Windows of the switches",
        [
            Column("on_at", "On (UTC)", Kind.TIME),
            Column("switch", "Switch"),
            Column("state", "State", Kind.STATE),
            Column("length_s", "Length", Kind.SECONDS),
            Column("off_at", "Off (UTC)", Kind.TIME),
            Column("measured", "Measured", Kind.NUMBER),
        ],
        _windows(facts.overview["operations"], unended=None if facts.unknown else "ON"),
    )


def _windows(operations: Sequence[Json], *, unended: str | None) -> list[Json]:
    """Pair the moves, which come newest first and may be there twice.

    A window without its end has the state `unended`.
    """
    windows, off_at = [], {}
    seen = set()
    for move in operations:
        if move.get("type") != "switch_moved" or (move["switch"], move["version"]) in seen:
            continue
        seen.add((move["switch"], move["version"]))
        if not move["is_on"]:
            off_at[move["switch"]] = move["at"]
            continue
        end = off_at.pop(move["switch"], None)
        windows.append(
            {
                "on_at": move["at"],
                "switch": move["switch"],
                "state": unended if end is None else "OFF",
                "length_s": None if end is None else _between_s(move["at"], end),
                "off_at": end,
                "measured": move["measured"],
            }
        )
    return windows


def _between_s(begin: str, end: str) -> float:
    return (datetime.fromisoformat(end) - datetime.fromisoformat(begin)).total_seconds()


def dead_letters(facts: Facts, view: OpsView) -> Table:
    """What waits by topic and reason, for how long the oldest of its topic has, and how old the count is."""
    counted_age_s = facts.source_age_s(DEAD_LETTERS_SOURCE)
    rows = [
        {
            "topic": topic["topic"],
            "reason": reason["reason"],
            "waiting": reason["waiting"],
            "oldest_age_s": topic["oldest_age_s"],
            "per_minute": topic["per_minute"],
            "counted_age_s": counted_age_s,
        }
        for topic in facts.overview["dead_letters"] or []
        for reason in topic["reasons"] or [{"reason": None, "waiting": topic["waiting"]}]
        if view.includes(topic["topic"], reason["reason"])
    ]
    return Table(
        "dead-letters",
        "Dead letters",
        [
            Column("topic", "Topic"),
            Column("reason", "Reason"),
            Column("waiting", "Wait", Kind.NUMBER),
            Column("oldest_age_s", "Oldest of topic", Kind.SECONDS),
            Column("per_minute", "New/min of topic", Kind.NUMBER),
            Column("counted_age_s", "Age of the count", Kind.EXPORTED),
        ],
        sorted(rows, key=lambda row: -row["waiting"]),
    )


def runs(facts: Facts, _: OpsView) -> Table:
    """What operators did to dead letters, the newest first; what is only `started` goes on or was killed."""
    newest: dict[str, Json] = {}
    for record in facts.overview["operations"]:
        if record.get("type") == "dead_letters_run":
            newest.setdefault(record["run"], record)
    rows = [
        {**record, "selected": _listed(record["selected"]), "counts": _listed(record["counts"])}
        for record in newest.values()
    ]
    return Table(
        "runs",
        "Runs over dead letters",
        [
            Column("at", "When (UTC)", Kind.TIME),
            Column("action", "What"),
            Column("state", "State", Kind.STATE),
            Column("by", "By"),
            Column("selected", "Which"),
            Column("counts", "Result"),
            Column("run", "Run", Kind.EXPORTED),
        ],
        rows,
    )


def _listed(values: Mapping[str, object]) -> str:
    """Return the values that say something, with their names."""
    shown = {name: value for name, value in values.items() if value not in (None, [], "")}
    return "; ".join(
        f"{name.replace('_', ' ')} {', '.join(map(str, value)) if isinstance(value, list) else value}"
        for name, value in shown.items()
    )


def rebalances(facts: Facts, view: OpsView) -> Table:
    """The rebalances that the monitor has seen since it was started, the newest first."""
    return Table(
        "rebalances",
        "Rebalances",
        [
            Column("began_at", "When (UTC)", Kind.TIME),
            Column("group", "Group"),
            Column("length_s", "Length, about", Kind.SECONDS),
            Column("joined", "Joined"),
            Column("left", "Left"),
            Column("moved_partitions", "Moved partitions", Kind.NUMBER),
        ],
        [
            {**row, "joined": ", ".join(row["joined"]), "left": ", ".join(row["left"])}
            for row in facts.overview["rebalances"]
            if view.includes(row["group"])
        ],
    )


def stores(facts: Facts, _: OpsView) -> Table:
    """What this API process needs, and whether it responds to it."""
    rows: list[Json] = [
        {"store": store, "state": None if responds is None else "OK" if responds else "AWAY"}
        for store, responds in facts.stores.items()
    ]
    rows.append({"store": "clock", "state": "WRONG" if facts.clock else "OK", "why": facts.clock or None})
    return Table(
        "stores",
        "Stores, as this process sees them",
        [Column("store", "Store"), Column("state", "State", Kind.STATE), Column("why", "Why")],
        rows,
    )


def sources(facts: Facts, _: OpsView) -> Table:
    """How old the monitor's knowledge is, by source."""
    return Table(
        "sources",
        "The monitor's sources",
        [Column("source", "Source"), Column("age_s", "Age of the sample", Kind.SECONDS)],
        facts.overview["sources"],
    )


def brokers(facts: Facts, _: OpsView) -> Table:
    """The brokers of the cluster and those that left it in the last hour: does the monitor reach them?"""
    return Table(
        "brokers",
        "Brokers, as the monitor sees them",
        [
            Column("broker", "Broker"),
            Column("state", "State", Kind.STATE),
            Column("response_ms", "Response, ms", Kind.NUMBER),
        ],
        # A monitor of the version before says nothing of them.
        sorted(facts.overview.get("brokers", []), key=lambda row: (row["state"] == "OK", row["broker"])),
    )


TABLES: Mapping[str, Callable[[Facts, OpsView], Table]] = {
    "lanes": lanes,
    "freshness": freshness,
    "workers": workers,
    "processes": processes,
    "overload": overload,
    "switch-windows": switch_windows,
    "dead-letters": dead_letters,
    "runs": runs,
    "rebalances": rebalances,
    "stores": stores,
    "sources": sources,
    "brokers": brokers,
}
