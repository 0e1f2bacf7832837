"""`shutterline inspect`: what is stored of an id, and where."""

import asyncio
from typing import Annotated, Literal

import typer
from rich.table import Table

from schemas.ids import PhotoId, UserId
from schemas.printable import printable
from shutterline.arguments import parsed_id
from shutterline.failures import load_settings, plain_failures, require
from shutterline.inspect.author import inspect_author
from shutterline.inspect.photo import inspect_photo
from shutterline.inspect.stored import Section, inspection
from shutterline.inspect.user import inspect_user
from shutterline.terminal import styled, terminal

Subject = Literal["user", "author", "photo"]


@plain_failures()
def inspect(
    subject: Annotated[Subject, typer.Argument()],
    number: Annotated[int, typer.Argument(parser=parsed_id, metavar="ID")],
) -> None:
    """Show every store that has something about the id."""
    console = terminal()
    for section in asyncio.run(_sections(subject, number)):
        table = Table(box=None, show_header=False, pad_edge=False)
        table.add_column(style="dim", no_wrap=True)
        table.add_column(overflow="fold")
        for name, value in section.facts:
            table.add_row(f"  {name}", printable(value))  # On one line, so that no fact is forged.
        console.print(styled((section.title, "bold")))
        console.print(table)


async def _sections(subject: Subject, number: int) -> list[Section]:
    settings = load_settings()
    await require(cassandra=settings.cassandra, redis=settings.redis)
    async with inspection() as stored:
        match subject:
            case "user":
                return await inspect_user(stored, UserId(number))
            case "author":
                return await inspect_author(stored, UserId(number))
            case "photo":
                return await inspect_photo(stored, PhotoId(number))
