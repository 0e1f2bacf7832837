"""Whether the process lives, whether it can work, and its metrics."""

import asyncio
import logging
from http import HTTPStatus

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.requests import Request
from starlette.responses import Response

from api.auth.tokens import OPS_ROLE
from api.http.problems import Problem, unavailable
from api.http.responses import json_response
from api.services import Probe, WithHealth, caller_of
from streams.errors import StoreUnavailable

log = logging.getLogger(__name__)


async def get_healthz() -> Response:
    """This process answers."""
    return json_response({"status": "ok"})


async def get_readyz(health: WithHealth) -> Response:
    """Every store answers within its time limit."""
    responses = await asyncio.gather(*(_responds(probe) for probe in health.probes.values()))
    silent = [name for name, answered in zip(health.probes, responses, strict=True) if not answered]
    if silent:
        raise unavailable(f"No answer from {', '.join(silent)}.")
    return json_response({"status": "ok"})


async def _responds(probe: Probe) -> bool:
    try:
        await probe()
    except StoreUnavailable as error:
        log.warning("not ready: %s", error)
        return False
    return True


async def get_metrics(request: Request, health: WithHealth) -> Response:
    """Prometheus's text format; for the role `ops`, unless the settings open it."""
    if not health.ops_open:
        caller = await caller_of(request)
        if OPS_ROLE not in caller.roles:
            raise Problem(HTTPStatus.FORBIDDEN, f"This needs the role {OPS_ROLE}.")
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)
