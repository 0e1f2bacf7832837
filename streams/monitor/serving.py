"""The monitor over HTTP: `/lag`, `/overview`, `/metrics`, `/healthz` and `/readyz`."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus

import orjson
from aiohttp import web

from streams.core.lag.report import Json
from streams.metrics_file import metrics_file
from streams.monitor.metrics import show
from streams.settings import MonitorSettings
from streams.telemetry.exposition import exposition


@asynccontextmanager
async def serve_monitor(
    settings: MonitorSettings,
    report: Callable[[], Json | None],
    ages_s: Callable[[], dict[str, float]],
    overview: Callable[[], Json | None],
) -> AsyncIterator[None]:
    """Serve inside the block, at the address of the settings.

    `report` and `overview` return None before the first sample.

    Raises:
        OSError: The port is in use.
    """

    async def lag(_: web.Request) -> web.Response:
        return _json(report())

    async def all_of_it(_: web.Request) -> web.Response:
        return _json(overview())

    async def metrics(request: web.Request) -> web.Response:
        show(report(), ages_s())
        body, content_type = exposition(request.headers.get("Accept", ""))
        return web.Response(body=body, headers={"Content-Type": content_type})

    async def healthz(_: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def readyz(_: web.Request) -> web.Response:
        return _unavailable("waiting for kafka\n") if report() is None else web.Response(text="ready\n")

    routes = {
        "/lag": lag,
        "/overview": all_of_it,
        "/metrics": metrics,
        "/healthz": healthz,
        "/readyz": readyz,
    }
    app = web.Application()
    app.add_routes([web.get(path, handler) for path, handler in routes.items()])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        host, port = settings.monitor.rsplit(":", 1)
        await web.TCPSite(runner, host.strip("[]"), int(port)).start()
        with metrics_file(settings, host, int(port)):
            yield
    finally:
        await runner.cleanup()


def _json(body: Json | None) -> web.Response:
    if body is None:
        return _unavailable("there is no sample yet\n")
    return web.Response(body=orjson.dumps(body), content_type="application/json")


def _unavailable(text: str) -> web.Response:
    return web.Response(status=HTTPStatus.SERVICE_UNAVAILABLE, text=text, headers={"Retry-After": "1"})
