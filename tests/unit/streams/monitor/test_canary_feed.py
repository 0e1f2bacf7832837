"""The canary reads its feed as an app does, and any failure of that is an outage."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from infra.local import ports
from schemas.ids import PhotoId, UserId
from streams.errors import StoreUnavailable
from streams.monitor.canary import Post
from streams.monitor.canary_feed import HttpFeed

PAGE = '{"items": [{"photo_id": "9007199254740993", "author_id": "7"}], "completeness": "complete"}'


@asynccontextmanager
async def feed(body: str, *, status: int = 200, token_file: Path | None = None) -> AsyncIterator[HttpFeed]:
    """The feed of an API that returns this to everybody who has the token `secret`."""

    async def page(request: web.Request) -> web.Response:
        if request.headers["Authorization"] != "Bearer secret":
            return web.Response(status=401, text='{"title": "Unauthorized"}')
        return web.Response(status=status, text=body)

    app = web.Application()
    app.add_routes([web.get("/v1/feed", page)])
    runner = web.AppRunner(app)
    await runner.setup()
    port = ports.unused(())
    try:
        await web.TCPSite(runner, "127.0.0.1", port).start()
        async with aiohttp.ClientSession() as http:
            token = (lambda: "secret") if token_file is None else token_file.read_text
            yield HttpFeed(http, f"http://127.0.0.1:{port}/", token, timeout_s=5.0)
    finally:
        await runner.cleanup()


async def test_it_returns_the_photos_of_the_page() -> None:
    async with feed(PAGE) as read:
        assert [Post(PhotoId(9_007_199_254_740_993), UserId(7))] == await read()


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ("{}", 503),
        *((body, 200) for body in ("no JSON", "{}", "[]", "null", '{"items": null}', '{"items": [null]}')),
        *((body, 200) for body in ('{"items": [{}]}', '{"items": [{"photo_id": null, "author_id": "7"}]}')),
    ],
)
async def test_what_is_no_page_is_an_outage(body: str, status: int) -> None:
    async with feed(body, status=status) as read:
        with pytest.raises(StoreUnavailable):
            await read()


async def test_a_token_that_is_refused_or_missing_is_an_outage_that_says_so(tmp_path: Path) -> None:
    file = tmp_path / "token"
    async with feed(PAGE, token_file=file) as read:
        with pytest.raises(StoreUnavailable, match="No such file"):
            await read()
        file.write_text("old")
        with pytest.raises(StoreUnavailable, match="401"):
            await read()
        file.write_text("secret")
        assert 1 == len(await read())


async def test_an_api_that_is_away_is_an_outage() -> None:
    async with aiohttp.ClientSession() as http:
        read = HttpFeed(http, f"http://127.0.0.1:{ports.unused(())}", lambda: "secret", timeout_s=5.0)
        with pytest.raises(StoreUnavailable):
            await read()
