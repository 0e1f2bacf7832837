"""Cursors: opaque text that names a position in one kind of list."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error
from enum import Enum

from schemas.ids import ID_MAX
from schemas.quoting import quoted

VERSION = 1
_NUMBER_BYTES = 8
CURSOR_CHARS_MAX = 64
CURSOR_PATTERN = "^[A-Za-z0-9_-]+$"


class CursorKind(Enum):
    """A letter for each kind of list, and how many numbers a position in it has."""

    FEED = ("f", 1)
    USER_PHOTOS = ("p", 1)
    FOLLOWING = ("o", 1)
    FOLLOWERS = ("r", 3)

    @property
    def prefix(self) -> bytes:
        return bytes([VERSION]) + self.value[0].encode()


def encode_cursor(kind: CursorKind, *numbers: int) -> str:
    packed = kind.prefix + b"".join(number.to_bytes(_NUMBER_BYTES) for number in numbers)
    return urlsafe_b64encode(packed).rstrip(b"=").decode()


def decode_cursor(kind: CursorKind, text: str) -> tuple[int, ...]:
    """Return the numbers of a cursor that `encode_cursor` made for the same kind of list.

    Raises:
        ValueError: The text is no such cursor; the message quotes it.
    """
    numbers = _numbers(kind, text)
    # Encoding again rejects cursors of other lists, which have other prefixes, and other Base64
    # texts for the same bytes.
    if numbers is None or encode_cursor(kind, *numbers) != text or max(numbers) > ID_MAX:
        raise ValueError(
            f"cursor is {quoted(text)}, but must be a next_cursor of this list; begin without one"
        )
    return numbers


def _numbers(kind: CursorKind, text: str) -> tuple[int, ...] | None:
    if len(text) > CURSOR_CHARS_MAX or not text.isascii():
        return None
    try:
        packed = urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except Error:
        return None
    body = packed[len(kind.prefix) :]
    if len(body) != kind.value[1] * _NUMBER_BYTES:
        return None
    return tuple(int.from_bytes(body[at : at + _NUMBER_BYTES]) for at in range(0, len(body), _NUMBER_BYTES))
