"""The small HTTP server of a worker: `/metrics` for Prometheus, `/healthz` and `/readyz`.

The two are for whatever started the worker. `/healthz` is 200 while the process runs, whatever its stores
do. `/readyz` is 503 until the worker handles records, and says what it waits for.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from aiohttp import web

from streams.metrics_file import metrics_file
from streams.settings import ProcessSettings
from streams.telemetry.exposition import exposition


@asynccontextmanager
async def serve_metrics(settings: ProcessSettings, missing: Callable[[], str]) -> AsyncIterator[None]:
    """Serve inside the block, on a free loopback port that `metrics_file` publishes.

    `missing` returns what the worker waits for, empty when it is ready.
    """

    async def metrics(request: web.Request) -> web.Response:
        body, content_type = exposition(request.headers.get("Accept", ""))
        return web.Response(body=body, headers={"Content-Type": content_type})

    async def readyz(_: web.Request) -> web.Response:
        waits_for = missing()
        if waits_for:
            return web.Response(status=503, text=f"waiting for {waits_for}\n")
        return web.Response(text="ready\n")

    async def healthz(_: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    app = web.Application()
    app.add_routes([web.get("/metrics", metrics), web.get("/healthz", healthz), web.get("/readyz", readyz)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        with metrics_file(settings, host, port):
            yield
    finally:
        await runner.cleanup()
