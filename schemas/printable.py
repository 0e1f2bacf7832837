"""Text from outside that is shown to a person: what would command their terminal is made visible."""

import json
import sys
import unicodedata

# Control characters (ESC, C1, NUL, newline, tab), format characters (bidi overrides, zero-width
# characters), surrogates, private use, unassigned; and the separators that begin a new line.
_ESCAPED_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
# They join emoji and letters of some scripts, and order nothing.
_HARMLESS = frozenset("\u200c\u200d")
HEX_LINE_BYTES = 16


def printable(text: str) -> str:
    """Return the text on one line, with an escape such as `\\x1b` for each character that is not shown.

    What it returns moves no cursor, sets no colour and title, and reorders no other text. It may
    still look like Rich's markup; `shutterline/terminal.py` prints it as plain text.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(_shown(character) for character in text)


def _shown(character: str) -> str:
    if character in _HARMLESS or unicodedata.category(character) not in _ESCAPED_CATEGORIES:
        return character
    return character.encode("unicode_escape").decode("ascii")


def value_text(value: bytes | None, characters_max: int = sys.maxsize) -> str:
    """The value for people: JSON with indents, otherwise its bytes in hex and as text.

    Indents make nested JSON hundreds of times as long, so of JSON little more than `characters_max` is made.
    """
    if value is None:
        return "null, so the record has none"
    try:
        # Not orjson: it would show an integer beyond 64 bits as another number.
        return _indented(json.loads(value.decode()), characters_max)
    except (ValueError, RecursionError):
        return "\n".join(
            _hex_line(at, value[at : at + HEX_LINE_BYTES]) for at in range(0, len(value), HEX_LINE_BYTES)
        )


def _indented(decoded: object, characters_max: int) -> str:
    pieces: list[str] = []
    characters = 0
    for piece in json.JSONEncoder(indent=2, ensure_ascii=False).iterencode(decoded):
        pieces.append(piece)
        characters += len(piece)
        if characters > characters_max:
            break
    return "".join(pieces)


def _hex_line(at: int, line: bytes) -> str:
    text = "".join(chr(byte) if 0x20 <= byte < 0x7F else "." for byte in line)
    return f"{at:08x}  {line.hex(' '):<{3 * HEX_LINE_BYTES - 1}}  {text}"
