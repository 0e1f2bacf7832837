"""The pages below /ops, their tables for programs, and the stream of what changes."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Query
from pydantic import WithJsonSchema
from starlette.requests import Request
from starlette.responses import Response

from api.auth.tokens import OPS_ROLE
from api.event_streams import MEDIA_TYPE
from api.http.gate import IS_HEAD
from api.http.problems import Problem, not_found, unavailable
from api.ops.dead_letters import DEAD_LETTERS_PATH, get_dead_letters, post_dead_letters
from api.ops.exports import as_csv, as_json
from api.ops.facts import Facts, Json
from api.ops.gathering import facts_of
from api.ops.operator import form_of, require_ops
from api.ops.page import HEADERS, lane_page, ops_page, panels, partition_page, runbook_page
from api.ops.records import record_of
from api.ops.runbooks import runbook
from api.ops.tables import TABLES, partitions
from api.ops.view import FILTER_CHARACTERS_MAX, REFRESHES, OpsView
from api.services import (
    ByOperator,
    OpsService,
    WithHealth,
    WithOps,
    caller_of,
    require_operator_still,
    require_right_clock,
)
from streams.errors import StoreUnavailable
from streams.fairness import REQUESTER, Room
from streams.threads import in_thread

EVENTS_PATH = "/ops/events"
FORMATS = {"csv": as_csv, "json": as_json}

FilterText = Annotated[
    str,
    Query(alias="filter", description="Show only lanes whose group, topic or state contains this."),
    WithJsonSchema({"type": "string", "maxLength": FILTER_CHARACTERS_MAX}),
]
RefreshText = Annotated[
    str,
    Query(
        description="When a browser refreshes the page: `live` as it changes, by a script; 0 never;"
        " otherwise after so many seconds, also without a script."
    ),
    WithJsonSchema({"type": "string", "enum": list(REFRESHES)}),
]


def add_ops_pages(app: FastAPI) -> None:
    """Add the pages for people. Of the paths below /ops, only `/ops/lag` is part of the contract."""
    lane = "/ops/groups/{group}/{topic}"
    reads: Mapping[str, Callable[..., Any]] = {
        EVENTS_PATH: get_ops_events,
        "/ops/tables/{table}": get_ops_table,
        DEAD_LETTERS_PATH: get_dead_letters,
        "/ops/runbooks/{name}": get_ops_runbook,
        lane: get_ops_lane,
        f"{lane}/{{partition}}": get_ops_partition,
    }
    for path, endpoint in reads.items():
        app.add_api_route(path, endpoint, methods=["GET"], response_model=None, include_in_schema=False)
    app.add_api_route(
        f"{lane}/{{partition}}",
        post_ops_partition,
        methods=["POST"],
        response_model=None,
        include_in_schema=False,
    )
    app.add_api_route(
        DEAD_LETTERS_PATH,
        post_dead_letters,
        methods=["POST"],
        # A replay publishes events.
        dependencies=[Depends(require_right_clock)],
        response_model=None,
        include_in_schema=False,
    )


async def get_ops(
    _: ByOperator, ops: WithOps, health: WithHealth, text: FilterText = "", refresh: RefreshText = "live"
) -> Response:
    """The verdict on each lane in a sentence, the worst first, then all figures. It needs no script."""
    view = OpsView.of(text, refresh)
    facts = await facts_of(ops, health)
    return ops_page(facts, view, await _panels(ops, facts, view))


async def get_ops_events(
    request: Request,
    _: ByOperator,
    ops: WithOps,
    health: WithHealth,
    text: FilterText = "",
    refresh: RefreshText = "live",
) -> Response:
    """The panels of the page as they change: server-sent events `panels`, each the HTML by element.

    The stream ends with the right to see it: at the end of the token, and when that is revoked.
    """
    view = OpsView.of(text, refresh)
    await facts_of(ops, health)  # 503 now, if there is nothing to show.
    if request.scope.get(IS_HEAD):
        return Response(headers=HEADERS, media_type=MEDIA_TYPE)

    async def render() -> Mapping[str, str]:
        await require_operator_still(request)
        return await _panels(ops, await facts_of(ops, health), view)

    interval_s = view.refresh_s or ops.settings.ops_stream_interval_ms / 1_000
    return ops.streams.open(REQUESTER.get(), render, interval_s, HEADERS)


async def _panels(ops: OpsService, facts: Facts, view: OpsView) -> Mapping[str, str]:
    """Return the panels as they are, or were less than a second ago for somebody with the same choice."""
    rendering = ops.rendered.get(view)
    if rendering is None:
        # In a thread, because photos are served meanwhile.
        rendering = asyncio.create_task(in_thread(panels, facts, view), name="panels")
        ops.rendered[view] = rendering
    # If a visitor disconnects, it must go on, because others wait for it.
    return await asyncio.shield(rendering)


async def get_ops_table(
    table: str,
    _: ByOperator,
    ops: WithOps,
    health: WithHealth,
    text: FilterText = "",
    group: str = "",
    topic: str = "",
) -> Response:
    """One table of the page as `NAME.csv` or `NAME.json`; `partitions` is of the lane `group`, `topic`."""
    name, _dot, kind = table.rpartition(".")
    if kind not in FORMATS or (name not in TABLES and name != "partitions"):
        raise not_found("table")
    facts = await facts_of(ops, health)
    if name == "partitions":
        lane = facts.lane(group, topic)
        if lane is None:
            raise not_found("lane")
        return FORMATS[kind](partitions(lane))
    return FORMATS[kind](TABLES[name](facts, OpsView.of(text, "live")))


async def get_ops_lane(group: str, topic: str, _: ByOperator, ops: WithOps, health: WithHealth) -> Response:
    """The partitions of one lane."""
    facts = await facts_of(ops, health)
    lane = facts.lane(group, topic)
    if lane is None:
        raise not_found("lane")
    return lane_page(facts, lane)


async def get_ops_partition(
    group: str, topic: str, partition: str, request: Request, _: ByOperator, ops: WithOps, health: WithHealth
) -> Response:
    """One partition, with the record at its committed offset. The value is for the role `ops` alone."""
    return await _partition(group, topic, partition, ops, health, shows_value=await _has_role(request))


async def post_ops_partition(
    group: str, topic: str, partition: str, request: Request, ops: WithOps, health: WithHealth
) -> Response:
    """The same with the value, for a token with the role in the form's field."""
    form = await form_of(request)
    await require_ops(request, form.get("token", ""), ops.verifier)
    return await _partition(group, topic, partition, ops, health, shows_value=True)


async def get_ops_runbook(name: str, _: ByOperator) -> Response:
    """A runbook of this version."""
    html = runbook(name)
    if html is None:
        raise not_found("runbook")
    return runbook_page(name, html)


async def _partition(
    group: str, topic: str, partition: str, ops: OpsService, health: WithHealth, *, shows_value: bool
) -> Response:
    facts = await facts_of(ops, health)
    lane = facts.lane(group, topic)
    row = None if lane is None else _row(lane, partition)
    if lane is None or row is None:
        raise not_found("partition")
    return partition_page(facts, lane, row, await _record(ops, topic, row, shows_value=shows_value))


def _row(lane: Json, partition: str) -> Json | None:
    return next((row for row in lane["partitions"] if str(row["partition"]) == partition), None)


async def _record(ops: OpsService, topic: str, row: Json, *, shows_value: bool) -> Json:
    """Return the record as the page shows it, or why there is none."""
    if row["end"] is None:
        return {"none": "Its offset is not known now."}
    if not row["lag_messages"]:
        return {"none": "Nothing waits, so there is no record at the committed offset."}
    requester = REQUESTER.get()
    if ops.reading.take(requester) is not Room.FREE:
        raise unavailable("Too many records are being read; try again.")
    try:
        offset = max(row["committed"] or 0, row["start"])
        records = await ops.records.read(topic, row["partition"], offset, records_max=1)
    except StoreUnavailable as error:
        return {"none": f"The record could not be read: {error}."}
    finally:
        ops.reading.release(requester)
    if not records:
        return {"none": "The log has no record there any more."}
    bytes_max = ops.settings.ops_value_bytes_max if shows_value else None
    return record_of(records[0], value_bytes_max=bytes_max)


async def _has_role(request: Request) -> bool:
    """Whether the caller has the role itself, and not only because the pages are open to all."""
    try:
        return OPS_ROLE in (await caller_of(request)).roles
    except (Problem, StoreUnavailable):
        return False
