"""`shutterline feed`: a user's feed, as the HTTP API serves it."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from time import time

import orjson
from rich.console import Console
from rich.table import Table

from schemas.ids import UserId
from schemas.times import parse_rfc3339_us
from shutterline.client.feed import (
    PAGE_PHOTOS_MAX,
    ApiRefused,
    FeedClient,
    Json,
    TokenOf,
    feed_client,
    feed_path,
)
from shutterline.contact_sheet import contact_sheet
from shutterline.failures import CommandFailed, load_settings, require
from shutterline.inspect.formatting import ago
from streams.settings import Settings

TokensFor = Callable[[Settings], TokenOf]
COLOURS = {"complete": "green", "partial": "yellow", "rebuilding": "yellow", "stale": "yellow"}


def feed(
    user: UserId,
    *,
    limit: int,
    all_pages: bool,
    as_json: bool,
    html: Path | None,
    tokens_for: TokensFor,
    console: Console,
) -> None:
    """Show one page, or all of them; with `html` in a file, as a page for a browser.

    Raises:
        CommandFailed: The API refused the request.
        StoreUnavailable: The API did not answer.
    """
    try:
        page = asyncio.run(_page(user, limit, all_pages, tokens_for))
    except ApiRefused as error:
        raise CommandFailed(str(error)) from error
    if html is not None:
        _write(user, page, html, console)
    elif as_json:
        print(orjson.dumps(page, option=orjson.OPT_INDENT_2).decode())
    else:
        _show(user, page, console)


async def _page(user: UserId, limit: int, all_pages: bool, tokens_for: TokensFor) -> Json:
    settings = load_settings()
    await require(settings, "api")
    async with feed_client(settings, tokens_for(settings)) as client:
        return await _read(client, user, PAGE_PHOTOS_MAX if all_pages else limit, all_pages=all_pages)


async def _read(client: FeedClient, user: UserId, limit: int, *, all_pages: bool) -> Json:
    """The first page; with `all_pages` all of them as one, as good as the worst of them."""
    page, _ = await client.get(feed_path(limit), user)
    while all_pages and page["next_cursor"] and page["completeness"] == "complete":
        more, _ = await client.get(feed_path(limit, page["next_cursor"]), user)
        page = {**more, "items": page["items"] + more["items"]}
    return page


def _write(user: UserId, page: Json, html: Path, console: Console) -> None:
    """Write the page.

    Raises:
        CommandFailed: It cannot be written there.
    """
    try:
        html.write_text(contact_sheet(user, page))
    except OSError as error:
        raise CommandFailed(f"{html} cannot be written: {error.strerror}") from error
    console.print(f"{len(page['items'])} photos; open {html.resolve().as_uri()}", soft_wrap=True)


def _show(user: UserId, page: Json, console: Console) -> None:
    table = Table("photo", "author", "age", "likes", "status", "caption", box=None, header_style="bold")
    for item in page["items"]:
        age = ago(time() - parse_rfc3339_us(item["created_at"]) / 1_000_000)
        liked = " ♥" if item["liked"] else ""
        caption = item["caption"].replace("\n", " ")[:40]
        likes = f"{item['like_count']}{liked}"
        table.add_row(item["photo_id"], item["author_id"], age, likes, item["status"], caption)
    if page["items"]:
        console.print(table)
    completeness = page["completeness"]
    more = "more with --all or a higher --limit" if page["next_cursor"] else "that is all of it"
    console.print(
        f"{len(page['items'])} photos in the feed of {user}, "
        f"[{COLOURS[completeness]}]{completeness}[/]; {more}",
        highlight=False,
    )
