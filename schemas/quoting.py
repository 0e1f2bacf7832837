"""Quote a value from outside in an error message, whatever its size or depth."""

import reprlib

QUOTED_CHARS_MAX = 200

# repr() of JSON that is nested a thousand levels deep raises RecursionError, and repr() of a
# megabyte builds all of it before it is cut. reprlib looks only at what it shows.
_BOUNDED = reprlib.Repr()
_BOUNDED.maxlevel = 3
_BOUNDED.maxdict = _BOUNDED.maxlist = _BOUNDED.maxtuple = 8
_BOUNDED.maxstring = _BOUNDED.maxother = QUOTED_CHARS_MAX
_BOUNDED.maxlong = 40


def quoted(value: object) -> str:
    """Return repr(value), cut to `QUOTED_CHARS_MAX` characters; it can always be encoded as UTF-8."""
    if isinstance(value, bytes):
        value = value[:QUOTED_CHARS_MAX]
    text = _BOUNDED.repr(value)
    return text if len(text) <= QUOTED_CHARS_MAX else text[: QUOTED_CHARS_MAX - 3] + "..."
