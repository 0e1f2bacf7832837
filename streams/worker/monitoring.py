"""A worker's own small HTTP server: `/metrics` for Prometheus, `/readyz` for whoever started it."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from streams.settings import Settings


@asynccontextmanager
async def serve_metrics(settings: Settings, ready: Callable[[], bool]) -> AsyncIterator[None]:
    """Serve on a free port, named by `RUN_DIR/PROCESS.metrics`, which goes when the process ends."""

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def readyz(_: web.Request) -> web.Response:
        return web.Response(text="ready\n") if ready() else web.Response(status=503, text="starting\n")

    app = web.Application()
    app.add_routes([web.get("/metrics", metrics), web.get("/readyz", readyz)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    named = settings.run_dir / f"{settings.process}.metrics"
    named.parent.mkdir(parents=True, exist_ok=True)
    host, port = runner.addresses[0][:2]
    named.write_text(f"{host}:{port}\n")
    try:
        yield
    finally:
        named.unlink(missing_ok=True)
        await runner.cleanup()
