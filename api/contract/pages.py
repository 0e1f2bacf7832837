"""Pages for people: what there is, the HTTP contract to browse and try, and the events to read.

Everything is served by this process, because a page must not depend on a foreign server, nor tell it who
reads. The pages are rendered once a process.
"""

from collections.abc import Awaitable, Callable, Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path

from fastapi import FastAPI
from jinja2 import Environment, PackageLoader
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from topics.asyncapi import asyncapi_document

ASSETS = "/docs/assets"
# The explorer writes style attributes, and shows its own small pictures as `data:` addresses.
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline';"
    " img-src 'self' data:; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


def add_pages(app: FastAPI) -> None:
    """Add the pages and their assets; they need no token and are not part of the HTTP contract."""
    app.router.routes += [Route(path, _page(html), methods=["GET"]) for path, html in _pages().items()]
    explorer = StaticFiles(directory=str(files("fastapi_swagger") / "resources"))
    own = StaticFiles(directory=Path(__file__).with_name("static"))
    app.router.routes += [Mount(f"{ASSETS}/explorer", explorer), Mount(ASSETS, own)]


@cache
def _pages() -> Mapping[str, str]:
    """The pages by path."""
    templates = Environment(loader=PackageLoader("api.contract"), autoescape=True)
    paths = {"/": "index.html", "/docs": "docs.html", "/docs/events": "events.html"}
    document = asyncapi_document()
    return {
        path: templates.get_template(template).render(document=document) for path, template in paths.items()
    }


def _page(html: str) -> Callable[[Request], Awaitable[Response]]:
    async def page(request: Request) -> Response:
        return HTMLResponse(html, headers=HEADERS)

    return page
