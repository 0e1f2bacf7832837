"""Whether the process runs, whether its stores are ready, and its metrics."""

from http import HTTPStatus

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.requests import Request
from starlette.responses import Response

from api.auth.tokens import OPS_ROLE
from api.http.problems import Problem, unavailable
from api.http.responses import json_response
from api.services import WithHealth, caller_of


async def get_healthz() -> Response:
    """This process answers."""
    return json_response({"status": "ok"})


async def get_readyz(health: WithHealth) -> Response:
    """Every store takes reads and writes in time, as of at most a second ago, and the clock is right."""
    missing = await health.readiness.missing()
    if missing:
        raise unavailable(f"No answer from {', '.join(missing)}.")
    clock = health.clocks.not_ready()
    if clock:
        raise unavailable(f"{clock[0].upper()}{clock[1:]}.")
    return json_response({"status": "ok"})


async def get_metrics(request: Request, health: WithHealth) -> Response:
    """Prometheus's text format; for the role `ops`, unless the settings open it."""
    if not health.ops_open:
        caller = await caller_of(request)
        if OPS_ROLE not in caller.roles:
            raise Problem(HTTPStatus.FORBIDDEN, f"This needs the role {OPS_ROLE}.")
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)
