"""Quote a foreign value in an error sentence without trusting its size or depth."""

import reprlib

QUOTED_CHARS_MAX = 200

# A plain repr() of JSON nested a thousand deep raises RecursionError, and one of a
# megabyte is built whole only to be cut. This one looks at no more than it shows.
_BOUNDED = reprlib.Repr()
_BOUNDED.maxlevel = 3
_BOUNDED.maxdict = _BOUNDED.maxlist = _BOUNDED.maxtuple = 8
_BOUNDED.maxstring = _BOUNDED.maxother = QUOTED_CHARS_MAX
_BOUNDED.maxlong = 40


def quoted(value: object) -> str:
    """The value as Python writes it, at most `QUOTED_CHARS_MAX` characters, always encodable as UTF-8."""
    if isinstance(value, bytes):
        value = value[:QUOTED_CHARS_MAX]
    text = _BOUNDED.repr(value)
    return text if len(text) <= QUOTED_CHARS_MAX else text[: QUOTED_CHARS_MAX - 3] + "..."
