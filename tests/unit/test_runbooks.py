"""Runbooks are complete, and every command, metric, setting and page that they or the code name exists.

`tests/unit/infra/monitoring/test_rules.py` compares the index with the alerts.
"""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main
from typer.core import TyperGroup
from typer.exceptions import TyperException

from shutterline.app import app
from streams.core.lag.states import RUNBOOKS, LagState
from tests.references import ROOT

FOLDER = ROOT / "docs" / "runbooks"
PAGES = sorted(path for path in FOLDER.glob("*.md") if path.name != "README.md")
PACKAGES = ("api", "infra", "shutterline", "streams", "topics", "schemas")
SECTIONS = ["What users feel", "Look", "Do", "It worked", "Do not"]
# What follows `shutterline` in a span or a block of code, up to a pipe, a bracket or a comment.
_COMMAND = re.compile(r"(?:^|[ `/(])shutterline ([a-z][^`|#()\n]*)", re.MULTILINE)
_BLOCK = re.compile(r"^ {4,}.*(?:\n {4,}.*)*", re.MULTILINE)
_SPAN = re.compile(r"`[^`\n]+`")
_METRIC = re.compile(r"shutterline_(\((?P<several>[^)]+)\)|(?P<one>[a-z_]+))")
_IDENTIFIER = re.compile(r"[a-z]+(?:_[a-z0-9]+)+")
_VARIABLE = re.compile(r"\bSHUTTERLINE_[A-Z0-9_]+\b")
_EDGE_COUNTER = re.compile(r"sample\(lines, '(\w+)'")


def name_of(alert: str) -> str:
    """Return the name of an alert in kebab case."""
    return re.sub(r"(?<!^)(?=[A-Z])", "-", alert).lower()


def code_of(text: str) -> str:
    """Return what a document marks as code, with the lines of a command joined."""
    blocks = _BLOCK.findall(text)
    return "\n".join([*blocks, *_SPAN.findall(_BLOCK.sub("", text))]).replace("\\\n", " ")


def commands() -> Iterator[tuple[str, list[str]]]:
    """Every command that a runbook or the operations' document names."""
    for path in [*PAGES, FOLDER / "README.md", ROOT / "docs" / "operations.md"]:
        for command in _COMMAND.findall(code_of(path.read_text())):
            yield path.name, shlex.split(command)


def parse(words: list[str]) -> None:
    """Parse the words as the command line does, without running anything."""
    command: Any = typer.main.get_command(app)
    while words and isinstance(command, TyperGroup):
        _, command, words = command.resolve_command(typer.Context(command), words)
    if not isinstance(command, TyperGroup):
        command.make_context("shutterline", list(words))


def metrics() -> set[str]:
    """The names of all samples that processes, and the caches of the edge, expose."""
    names = set()
    for line in (ROOT / "docs" / "metrics.md").read_text().splitlines():
        if found := re.match(r"\| `(\w+)` \| (\w+) ", line):
            suffixes = ("_bucket", "_count", "_sum") if found[2] == "histogram" else ("",)
            names |= {f"{found[1]}{suffix}" for suffix in suffixes}
    counters = (ROOT / "infra" / "local" / "edge" / "counters.js").read_text()
    return names | {f"shutterline_edge_{name}_total" for name in _EDGE_COUNTER.findall(counters)}


def sources() -> Iterator[Path]:
    """Every file of the product that may name a page."""
    for folder in PACKAGES:
        for suffix in ("py", "html", "yml"):
            yield from (ROOT / folder).rglob(f"*.{suffix}")


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_a_page_says_what_is_felt_where_to_look_what_to_do_and_what_not(path: Path) -> None:
    """In this order, under the name of its alert."""
    title, *sections = re.findall(r"^#+ (.+)$", path.read_text(), re.MULTILINE)

    assert path.stem == name_of(title)
    assert SECTIONS == sections


def test_the_index_names_every_page_once() -> None:
    index = (FOLDER / "README.md").read_text()
    named = re.findall(r"^\| \[\w+\]\(([\w-]+\.md)\) \| (?:page|ticket) \|", index, re.MULTILINE)

    assert sorted(named) == [path.name for path in PAGES]


def test_every_command_exists_with_its_options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "photo.jpg").touch()
    monkeypatch.chdir(tmp_path)
    wrong = []
    for document, words in commands():
        try:
            parse(words)
        except TyperException as error:
            wrong.append(f"{document}: {' '.join(words)}: {error}")

    assert [] == wrong


def test_every_metric_exists_by_its_real_name() -> None:
    """In a pattern of grep, the beginning of a name is enough."""
    known = metrics()

    def exists(name: str, line: str) -> bool:
        if "grep" in line:
            return any(sample.startswith(name) for sample in known)
        return name in known or f"{name}_bucket" in known

    missing = [
        f"{path.name}: {name}"
        for path in [*PAGES, FOLDER / "README.md"]
        for line in path.read_text().splitlines()
        for found in _METRIC.finditer(line)
        for name in (f"shutterline_{rest}" for rest in (found["several"] or found["one"]).split("|"))
        if not exists(name, line)
    ]

    assert [] == missing


def test_every_setting_label_and_field_exists() -> None:
    """An identifier in code is a setting, or a word of the product's sources; a variable is a setting's."""
    words = {word for path in sources() for word in re.findall(r"\w+", path.read_text())}
    settings = (ROOT / "docs" / "settings.md").read_text()
    missing = []
    for path in [*PAGES, FOLDER / "README.md"]:
        text = path.read_text()
        spans = " ".join(_SPAN.findall(_METRIC.sub("", text)))
        missing += [f"{path.name}: {name}" for name in _IDENTIFIER.findall(spans) if name not in words]
        missing += [f"{path.name}: {name}" for name in _VARIABLE.findall(text) if f"`{name}`" not in settings]

    assert [] == missing


def test_every_page_that_the_code_names_exists() -> None:
    """The verdicts of the lag monitor, and the annotations of the alerts."""
    named = {
        name for path in sources() for name in re.findall(r"docs/runbooks/([\w-]+\.md)", path.read_text())
    }

    assert named
    assert set() == named - {path.name for path in PAGES}


def test_every_state_that_needs_somebody_has_a_page() -> None:
    assert set(LagState) - {LagState.OK} == set(RUNBOOKS)
