"""A feed as one HTML page for a browser."""

from dataclasses import dataclass
from pathlib import Path
from time import time

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from rich.console import Console

from schemas.ids import UserId
from schemas.times import ms_of, parse_rfc3339
from shutterline.client.feed import Json
from shutterline.failures import CommandFailed
from shutterline.inspect.formatting import ago

TEMPLATE = "contact_sheet.html"


@dataclass(frozen=True, slots=True)
class _Picture:
    """`src` is the smallest rendition, `href` the largest; `sources` is the srcset of all."""

    item: Json
    age: str
    src: str
    href: str
    sources: str


def write_contact_sheet(user: UserId, page: Json, file: Path, console: Console) -> None:
    """Write the page of a feed to a file, and print the address to open.

    Raises:
        CommandFailed: The file cannot be written.
    """
    try:
        file.write_text(contact_sheet(user, page))
    except OSError as error:
        raise CommandFailed(f"{file} cannot be written: {error.strerror}") from error
    console.print(f"{len(page['items'])} photos; open {file.resolve().as_uri()}", soft_wrap=True)


def contact_sheet(user: UserId, page: Json) -> str:
    """The page of a feed (as the API gave it) as HTML; its pictures load until their signed URLs expire."""
    templates = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined
    )
    pictures = [_picture(item) for item in page["items"]]
    return templates.get_template(TEMPLATE).render(user=user, page=page, pictures=pictures)


def _picture(item: Json) -> _Picture:
    renditions: list[Json] = sorted(
        item["renditions"].values(), key=lambda rendition: int(rendition["width"])
    )
    return _Picture(
        item=item,
        age=ago(time() - ms_of(parse_rfc3339(item["created_at"])) / 1_000),
        src=str(renditions[0]["url"]) if renditions else "",
        href=str(renditions[-1]["url"]) if renditions else "",
        sources=", ".join(f"{rendition['url']} {rendition['width']}w" for rendition in renditions),
    )
