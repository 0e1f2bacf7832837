"""What an API process serves before it has connected to its stores."""

from collections.abc import Mapping

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from api.http.problems import problem_response, unavailable
from api.readiness import Probe, Readiness
from api.routes.health import get_healthz
from streams.errors import StoreUnavailable

# A try to connect to Cassandra takes up to 5 s, and the next one waits as long.
CONNECTED_S = 5


class Front:
    """The ASGI application of a process: says that it is starting, until `serve` gives it the real one.

    So the process listens from its first second. `/healthz` is 200, because a restart would not bring
    back the store that the process waits for. `/readyz` is 503 with the names of the stores that do not
    answer, and every other request is 503 with Retry-After.
    """

    def __init__(self, probes: Mapping[str, Probe]) -> None:
        """`probes` are those of the stores that can be asked already; Cassandra counts as missing."""
        self._readiness = Readiness({"cassandra": _not_connected, **probes})
        self._app: ASGIApp = Starlette(
            routes=[
                Route("/healthz", _healthz),
                Route("/readyz", self._readyz),
                Route("/{path:path}", _starting, methods=_METHODS),
            ]
        )

    def serve(self, app: ASGIApp) -> None:
        """Pass all requests from now on to `app`."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)

    async def _readyz(self, _: Request) -> Response:
        missing = ", ".join(await self._readiness.missing())
        return problem_response(unavailable(f"Starting; no answer from {missing}.", CONNECTED_S))


_METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]


async def _not_connected() -> None:
    raise StoreUnavailable("cassandra", "connect", "this process has not connected yet")


async def _healthz(_: Request) -> Response:
    return await get_healthz()


async def _starting(_: Request) -> Response:
    return problem_response(
        unavailable("Starting: not all stores are connected yet; try again.", CONNECTED_S)
    )
