"""Generated documents are up to date, and the links and paths in documents exist."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.references import REFERENCES, ROOT

_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_CODE_FILE = re.compile(r"(?<![\w./:-])[\w.-]+(?:/[\w.-]+)+\.(?:py|lua|cql|tf|md)\b")
_FOLDER = re.compile(r"`([\w.-]+(?:/[\w.-]+)*/)`")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


def documents() -> list[Path]:
    """Return every Markdown file of the repository, except in hidden folders."""
    paths = [path for folder in ROOT.glob("[!.]*/") for path in folder.rglob("*.md")]
    inside = [
        path for path in paths if not any(part.startswith(".") for part in path.relative_to(ROOT).parts)
    ]
    return sorted([*ROOT.glob("*.md"), *inside])


def anchors(path: Path) -> set[str]:
    """Return the anchors of a file's headings, as GitHub and similar hosts build them."""
    return {
        re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-")
        for heading in _HEADING.findall(path.read_text())
    }


def is_there(path: Path, target: str) -> bool:
    """Return whether a relative link of a document names an existing file, and an existing heading
    if it has an anchor."""
    name, _, anchor = target.partition("#")
    file = (path.parent / name).resolve() if name else path
    return file.exists() and (not anchor or anchor in anchors(file))


@pytest.mark.parametrize(
    ("target", "reference"), REFERENCES.items(), ids=lambda value: getattr(value, "stem", "")
)
def test_a_reference_is_as_the_code_says(target: Path, reference: Callable[[], str]) -> None:
    """`make docs` generates the reference. If this fails, run it again after the change of the
    code."""
    assert reference() == target.read_text()


def test_every_relative_link_leads_somewhere() -> None:
    """If a file was moved, the links to it must be changed, too."""
    broken = [
        f"{path.relative_to(ROOT)}: {target}"
        for path in documents()
        for target in _LINK.findall(path.read_text())
        if "://" not in target and not target.startswith("mailto:") and not is_there(path, target)
    ]

    assert [] == broken


def test_every_file_that_a_document_names_exists() -> None:
    """A path is relative to the root of the repository or to the document's folder."""
    missing = [
        f"{path.relative_to(ROOT)}: {name}"
        for path in documents()
        for pattern in (_CODE_FILE, _FOLDER)
        for name in pattern.findall(_LINK.sub("", path.read_text()))
        if not (ROOT / name).exists() and not (path.parent / name).exists()
    ]

    assert [] == missing
