"""Text that would command a terminal is refused in captions, or becomes text that is only read."""

import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.fields import checked_caption
from schemas.printable import printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a photo", "a photo"),
        ("\x1b]0;title\x07", r"\x1b]0;title\x07"),
        ("\x9b31m", r"\x9b31m"),
        ("nul\x00", r"nul\x00"),
        ("one\ntwo\tthree\r", r"one\ntwo\tthree\r"),
        ("\u202egpj.exe", r"\u202egpj.exe"),
        ("\u2066isolate\u2069", r"\u2066isolate\u2069"),
        ("line\u2028end", r"line\u2028end"),
        ("\ufeff\u200b", r"\ufeff\u200b"),
        ("\ud800", r"\ud800"),
        ("\U000e0041", r"\U000e0041"),
        ("café, 海, 👩‍👧, ♥", "café, 海, 👩‍👧, ♥"),
        ("[bold]stays[/bold]", "[bold]stays[/bold]"),
    ],
)
def test_only_what_commands_is_escaped(text: str, shown: str) -> None:
    """Letters of every script, emoji and punctuation stay as they are."""
    assert printable(text) == shown


@given(text=st.text())
def test_nothing_that_commands_is_left(text: str) -> None:
    """For any text, no control, format or line-breaking character is left, and it can be encoded."""
    shown = printable(text)

    assert {unicodedata.category(character) for character in shown} & {"Cc", "Cs", "Zl", "Zp"} == set()
    assert not set(shown) & set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u061c")
    shown.encode()


def test_control_characters_are_those_of_unicode() -> None:
    """All of category Cc, of which captions may have newline and tab, and no other character."""
    controls = {chr(code) for code in range(sys.maxunicode + 1) if unicodedata.category(chr(code)) == "Cc"}
    others = "".join(chr(code) for code in range(0x300) if chr(code) not in controls)

    assert checked_caption(others + "\n\t") == others + "\n\t"
    for control in controls - {"\n", "\t"}:
        with pytest.raises(ValueError, match="must have no control characters"):
            checked_caption(f"a{control}")
