"""Whether the process runs, whether its stores are ready, and its metrics."""

from starlette.requests import Request
from starlette.responses import Response

from api.http.problems import unavailable
from api.http.responses import json_response
from api.services import ByOperator, WithHealth
from streams.telemetry.exposition import exposition


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


async def get_metrics(_: ByOperator, request: Request) -> Response:
    """Prometheus's text format, or OpenMetrics; for the role `ops`, unless the settings open it."""
    body, media_type = exposition(request.headers.get("accept", ""))
    return Response(body, media_type=media_type)
