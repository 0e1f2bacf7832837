"""`shutterline feed`: a user's feed, as the HTTP API serves it."""

import asyncio
from pathlib import Path
from time import time
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from schemas.ids import UserId
from schemas.times import ms_of, parse_rfc3339
from shutterline.arguments import User
from shutterline.client.feed import PAGE_PHOTOS_MAX, ApiRefused, FeedClient, Json, feed_client, feed_path
from shutterline.contact_sheet import write_contact_sheet
from shutterline.failures import CommandFailed, load_settings, plain_failures, require
from shutterline.inspect.formatting import ago
from shutterline.terminal import styled, terminal, write_json
from shutterline.tokens import tokens_for

COLOURS = {"complete": "green", "partial": "yellow", "rebuilding": "yellow", "stale": "yellow"}


@plain_failures()
def feed(
    user: User,
    limit: Annotated[int, typer.Option(min=1, max=100, help="How many photos.")] = 20,
    everything: Annotated[bool, typer.Option("--all", help="All pages.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The answer as it is.")] = False,
    html: Annotated[
        Path | None, typer.Option(dir_okay=False, help="Write a contact sheet to this file instead.")
    ] = None,
) -> None:
    """Show one page, or all of them as one; with `html` in a file, as a page for a browser."""
    reader, console = UserId(user), terminal()
    try:
        page = asyncio.run(_page(reader, limit, all_pages=everything))
    except ApiRefused as error:
        raise CommandFailed(str(error)) from error
    if html is not None:
        write_contact_sheet(reader, page, html, console)
    elif as_json:
        write_json(page)
    else:
        _show(reader, page, console)


async def _page(user: UserId, limit: int, *, all_pages: bool) -> Json:
    settings = load_settings()
    await require(api=settings.api)
    async with feed_client(settings, tokens_for(settings)) as client:
        return await _read(client, user, PAGE_PHOTOS_MAX if all_pages else limit, all_pages=all_pages)


async def _read(client: FeedClient, user: UserId, limit: int, *, all_pages: bool) -> Json:
    """Return the first page, or with `all_pages` all pages joined into one.

    Stops after a page that is not complete, and returns that page's completeness.
    """
    page, _ = await client.get(feed_path(limit), user)
    while all_pages and page["next_cursor"] and page["completeness"] == "complete":
        more, _ = await client.get(feed_path(limit, page["next_cursor"]), user)
        page = {**more, "items": page["items"] + more["items"]}
    return page


def _show(user: UserId, page: Json, console: Console) -> None:
    table = Table("photo", "author", "age", "likes", "status", "caption", box=None, header_style="bold")
    for item in page["items"]:
        age = ago(time() - ms_of(parse_rfc3339(item["created_at"])) / 1_000)
        liked = " ♥" if item["liked"] else ""
        caption = item["caption"].replace("\n", " ")[:40]
        likes = f"{item['like_count']}{liked}"
        table.add_row(item["photo_id"], item["author_id"], age, likes, item["status"], caption)
    if page["items"]:
        console.print(table)
    completeness = page["completeness"]
    more = "more with --all or a higher --limit" if page["next_cursor"] else "that is all of it"
    console.print(
        styled(
            f"{len(page['items'])} photos in the feed of {user}, ",
            (completeness, COLOURS[completeness]),
            f"; {more}",
        )
    )
