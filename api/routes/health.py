"""Whether the process runs, whether its stores are ready, and its metrics."""

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.responses import Response

from api.http.problems import unavailable
from api.http.responses import json_response
from api.services import ByOperator, WithHealth


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


async def get_metrics(_: ByOperator) -> Response:
    """Prometheus's text format; for the role `ops`, unless the settings open it."""
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)
