"""The small HTTP server of a worker: `/metrics` for Prometheus, and `/readyz`.

`/readyz` is for the process that started the worker.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from streams.metrics_file import metrics_file
from streams.settings import ProcessSettings


@asynccontextmanager
async def serve_metrics(settings: ProcessSettings, is_ready: Callable[[], bool]) -> AsyncIterator[None]:
    """Serve inside the block, on a free loopback port that `metrics_file` publishes."""

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def readyz(_: web.Request) -> web.Response:
        return web.Response(text="ready\n") if is_ready() else web.Response(status=503, text="starting\n")

    app = web.Application()
    app.add_routes([web.get("/metrics", metrics), web.get("/readyz", readyz)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        with metrics_file(settings, host, port):
            yield
    finally:
        await runner.cleanup()
