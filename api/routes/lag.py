"""What waits for the consumer groups, as the lag monitor sees it: for people, and for programs."""

from typing import Annotated

from fastapi import Query
from pydantic import WithJsonSchema
from starlette.responses import HTMLResponse, Response

from api.contract.ops_page import FILTER_CHARACTERS_MAX, REFRESH_S, OpsView, ops_page
from api.contract.pages import HEADERS
from api.http.problems import invalid, unavailable
from api.http.responses import json_response
from api.lag_reader import LagReader, NoReport
from api.services import ByOperator, WithLag
from schemas.quoting import quoted
from streams.core.lag.report import Json


async def get_ops_lag(_: ByOperator, lag: WithLag) -> Response:
    """The verdict on each consumer group, its topics and partitions, as of at most a second ago.

    If the lag monitor does not respond, every state is NO-DATA, and `sampled_at` is that of the last sample.
    """
    return json_response(await _report(lag))


FilterText = Annotated[
    str,
    Query(alias="filter", description="Show only lanes whose group, topic or state contains this."),
    WithJsonSchema({"type": "string", "maxLength": FILTER_CHARACTERS_MAX}),
]
RefreshText = Annotated[
    str,
    Query(description="After so many seconds a browser loads the page again; 0 is never."),
    WithJsonSchema({"type": "string", "enum": ["0", *map(str, REFRESH_S)]}),
]


async def get_ops(_: ByOperator, lag: WithLag, text: FilterText = "", refresh: RefreshText = "0") -> Response:
    """The verdict on each lane in a sentence, the worst first, then all figures. It needs no script."""
    if len(text) > FILTER_CHARACTERS_MAX:
        raise invalid(
            ValueError(f"filter has {len(text)} characters, but must have at most {FILTER_CHARACTERS_MAX}")
        )
    if refresh not in ("0", *map(str, REFRESH_S)):
        allowed = ", ".join(map(str, REFRESH_S))
        raise invalid(ValueError(f"refresh is {quoted(refresh)}, but must be 0, {allowed}"))
    page = ops_page(await _report(lag), OpsView(text, int(refresh)))
    return HTMLResponse(page, headers={**HEADERS, "Cache-Control": "no-store"})


async def _report(lag: LagReader) -> Json:
    try:
        return await lag.report()
    except NoReport as error:
        raise unavailable(f"There is no report yet: {error}.") from None
