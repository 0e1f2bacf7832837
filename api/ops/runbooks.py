"""Runbooks as pages, so that somebody can read them where the verdict is."""

import re
from functools import cache
from pathlib import Path

from markdown_it import MarkdownIt

FOLDER = Path(__file__).parents[2] / "docs" / "runbooks"
_PATH = re.compile(r"docs/runbooks/([a-z0-9-]+)\.md")
# A link from one runbook to another, and one to what is not served.
_OTHER = re.compile(r'href="([\w-]+)\.md(#[\w-]*)?"')
_ELSEWHERE = re.compile(r'<a href="\.\./[^"]*">(.*?)</a>')
_HEADING = re.compile(r"<h([23])>([^<]+)</h\1>")


def address_of(path: str | None) -> str | None:
    """Return the address of the runbook with a path of the repository."""
    found = _PATH.fullmatch(path or "")
    return None if found is None else f"/ops/runbooks/{found[1]}"


def runbook(name: str) -> str | None:
    """Return the runbook in HTML; None if there is none of that name. HTML in it is shown as text."""
    # Only names that are there: no part of an address becomes a path, and none fills the cache.
    path = next((path for path in FOLDER.glob("*.md") if path.stem == name), None)
    return None if path is None else _rendered(path)


@cache
def _rendered(path: Path) -> str:
    markdown = MarkdownIt("commonmark", {"html": False}).enable("table")
    html = _ELSEWHERE.sub(r"\1", markdown.render(path.read_text()))
    html = _OTHER.sub(r'href="/ops/runbooks/\1\2"', html)
    html = html.replace("<pre>", '<pre tabindex="0">')  # Wide ones are scrolled by the keyboard, too.
    return _HEADING.sub(_with_anchor, html)


def _with_anchor(heading: re.Match[str]) -> str:
    """Return a heading with the id that links to it have, as GitHub and similar hosts build it."""
    level, text = heading.groups()
    anchor = re.sub(r"[^\w\- ]", "", text.lower()).strip().replace(" ", "-")
    return f'<h{level} id="{anchor}">{text}</h{level}>'
