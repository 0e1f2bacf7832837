"""Data never commands the terminal: what other people wrote is shown as text."""

import json
from io import StringIO
from typing import Any

import pytest
from rich.table import Table
from typer.testing import CliRunner

from schemas.ids import UserId
from shutterline import app as command_line
from shutterline.commands import feed as feed_command
from shutterline.commands import inspect as inspect_command
from shutterline.contact_sheet import contact_sheet
from shutterline.inspect.stored import Section
from shutterline.terminal import Terminal, styled, terminal, terminal_of_own_text

HOSTILE = [
    "\x1b]0;owned\x07\x1b[2J",
    "\x9b31mred",
    "nul\x00",
    "back\x08\x7f",
    "\u202egpj.exe\u2066",
    "[/nope]",
    "[link=https://evil.test]click[/link]",
    "[red]red[/red] :smiley:",
    "one\ndeleted  no\r",
    "\ud83d",
]
COMMANDS = {
    chr(code) for code in (*range(32), *range(127, 160), *range(0x202A, 0x202F), *range(0x2066, 0x206A))
}


def photo(caption: str, **changes: Any) -> dict[str, Any]:
    return {
        "photo_id": "123",
        "author_id": "7",
        "caption": caption,
        "created_at": "2026-03-01T12:00:00Z",
        "like_count": 3,
        "liked": False,
        "status": "ready",
        "reason": None,
        "renditions": {},
        **changes,
    }


def commands_in(shown: str) -> set[str]:
    return (COMMANDS & set(shown)) - {"\n"}


def run_feed(monkeypatch: pytest.MonkeyPatch, *items: dict[str, Any], as_json: bool = False) -> str:
    async def page(*_: object, **__: object) -> dict[str, Any]:
        return {"items": list(items), "next_cursor": None, "completeness": "complete"}

    monkeypatch.setattr(feed_command, "_page", page)
    result = CliRunner().invoke(
        command_line.app, ["feed", "7", *(["--json"] if as_json else [])], env={"COLUMNS": "200"}
    )
    assert result.exception is None, result.output
    return result.output


@pytest.mark.parametrize("caption", HOSTILE, ids=range(len(HOSTILE)))
def test_a_hostile_caption_in_a_feed_is_text(monkeypatch: pytest.MonkeyPatch, caption: str) -> None:
    """No control character reaches the terminal, and what looks like markup is shown as it is."""
    shown = run_feed(monkeypatch, photo(caption))

    assert commands_in(shown) == set()
    if caption.isascii() and caption.isprintable():
        assert caption[:40] in shown


@pytest.mark.parametrize("caption", HOSTILE[:-1], ids=range(len(HOSTILE) - 1))
def test_json_is_the_same_data_and_commands_nothing(monkeypatch: pytest.MonkeyPatch, caption: str) -> None:
    """The characters are escaped as JSON allows, so a program reads the same caption."""
    shown = run_feed(monkeypatch, photo(caption + " café 海 👩 \U000e0041"), as_json=True)

    assert commands_in(shown) == set()
    assert json.loads(shown)["items"][0]["caption"] == caption + " café 海 👩 \U000e0041"
    assert "café 海 👩" in shown


def test_a_photo_from_before_1970_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """`created_at` may be any RFC 3339 time; it ended the command and the contact sheet with an error."""
    old = photo("a scan", created_at="1888-10-14T12:00:00Z")

    assert "d ago" in run_feed(monkeypatch, old)
    assert "d ago" in contact_sheet(UserId(7), {"items": [old], "completeness": "complete"})


@pytest.mark.parametrize("caption", HOSTILE, ids=range(len(HOSTILE)))
def test_a_hostile_caption_in_an_inspection_is_one_line(
    monkeypatch: pytest.MonkeyPatch, caption: str
) -> None:
    """A caption cannot forge another fact below itself."""

    async def sections(*_: object) -> list[Section]:
        return [Section("Photo", (("caption", caption), ("deleted", "yes")))]

    monkeypatch.setattr(inspect_command, "_sections", sections)
    result = CliRunner().invoke(command_line.app, ["inspect", "photo", "7"], env={"COLUMNS": "200"})

    assert result.exception is None, result.output
    assert commands_in(result.output) == set()
    facts = [line.split() for line in result.output.splitlines()]
    assert [fact for fact in facts if fact[:1] == ["deleted"]] == [["deleted", "yes"]]


@pytest.mark.parametrize("console", [terminal(), terminal(stderr=True), terminal_of_own_text()])
def test_no_console_lets_a_control_character_through(console: Terminal) -> None:
    """Alone, in a table and in a styled text, also on the console whose texts have markup."""
    console.file = StringIO()
    table = Table("column")
    table.add_row("\x1b[2J")

    console.print("a\x1b[2J\nb", table, styled("\x9b2J", ("\u202e", "red")), soft_wrap=True)

    shown = console.file.getvalue()
    assert commands_in(shown) == set()
    assert "a\\x1b[2J\nb" in shown


def test_an_error_that_quotes_data_is_text(capfd: pytest.CaptureFixture[str]) -> None:
    """The sentence of a failure may hold what a server responded."""
    terminal(stderr=True).print("refused: \x1b[2J[/nope]", style="red", soft_wrap=True)

    assert "refused: \\x1b[2J[/nope]" in capfd.readouterr().err
