"""The only way to the terminal: what is stored or answered is data, and data never commands.

Captions, keys and sources come from other people. They may hold escape sequences, bidi overrides or
Rich's markup. `tests/unit/test_tree.py` finds a print that goes around this module.
"""

import re
import sys
from typing import Any

import orjson
from rich.console import Console
from rich.text import Text

from schemas.printable import printable

# The characters that `printable` escapes, other than the newlines between the lines of a JSON text.
_SUSPECT = re.compile(r"[^\x20-\x7e\n]")


class Terminal(Console):
    """Shows every text as it is; only `styled` gives it a style."""

    def __init__(self, *, stderr: bool = False, markup: bool = False) -> None:
        super().__init__(stderr=stderr, markup=markup, emoji=False, highlight=False)

    def render_str(self, text: str, **options: Any) -> Text:
        """Rich calls this for each text that it is given, alone or in a table."""
        return super().render_str(_lines(text), **options)


def terminal(*, stderr: bool = False) -> Terminal:
    """Return the console of a command that shows data."""
    return Terminal(stderr=stderr)


def terminal_of_own_text() -> Terminal:
    """Return the console of a command that shows only what this program says, which has markup."""
    return Terminal(markup=True)


def styled(*parts: str | tuple[str, str]) -> Text:
    """Return one text of parts, each of which may have a style: `styled("in ", (name, "bold"))`."""
    return Text.assemble(
        *(_lines(part) if isinstance(part, str) else (_lines(part[0]), part[1]) for part in parts)
    )


def write_plain(text: str) -> None:
    """Write our own text to standard output without wrapping it, for `$(…)` and pipes."""
    sys.stdout.write(f"{text}\n")


def write_json(value: object) -> None:
    """Write the value to standard output as JSON whose strings command nothing when they are shown."""
    text = orjson.dumps(value, option=orjson.OPT_INDENT_2).decode()
    write_plain(_SUSPECT.sub(_json_escape, text))


def _json_escape(match: re.Match[str]) -> str:
    character = match[0]
    if printable(character) == character:
        return character
    units = character.encode("utf-16-be")
    return "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2))


def _lines(text: str) -> str:
    """Return the text printable; it keeps its lines."""
    return "\n".join(map(printable, text.split("\n")))
