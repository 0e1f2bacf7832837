"""Identifiers: 64 bits that order by the time at which they were minted.

From the highest bit: 1 bit that stays 0, 40 of milliseconds since 2024-01-01T00:00:00Z (until
2058), 13 of shard, 10 of sequence. Valid ids are 1 to 2^63 - 1. In JSON they are decimal
strings, because JavaScript loses integers above 2^53; in stores and on the wire between
our own processes they are 8 bytes, big-endian, so that bytes sort as ids do.
"""

import re
import struct
from collections.abc import Iterable
from typing import NewType

from schemas.quoting import quoted

UserId = NewType("UserId", int)
PhotoId = NewType("PhotoId", int)

ID_MAX = 2**63 - 1
ID_BYTES = 8
EPOCH_MS = 1_704_067_200_000  # 2024-01-01T00:00:00Z
SHARDS = 8192
OWN_SHARDS = 4096  # Shards from here on belong to upstream apps that mint their own ids.
SEQUENCES = 1024  # Ids of one shard in one millisecond.

_SEQUENCE_BITS = 10
_MS_SHIFT = 23  # 13 bits of shard and 10 of sequence.
_MS_MAX = EPOCH_MS + (ID_MAX >> _MS_SHIFT)

_DECIMAL = re.compile(r"[1-9][0-9]{0,18}")
_ONE = struct.Struct(">Q")


def compose_id(unix_ms: int, shard: int, sequence: int) -> int:
    """The id of one millisecond, shard and sequence.

    Raises:
        ValueError: A part does not fit its bits, or the parts give 0, which is no id.
    """
    if not EPOCH_MS <= unix_ms <= _MS_MAX:
        raise ValueError(f"unix_ms is {unix_ms}, but ids hold {EPOCH_MS} to {_MS_MAX} (2024 to 2058)")
    if not 0 <= shard < SHARDS:
        raise ValueError(f"shard is {shard}, but must be 0 to {SHARDS - 1}")
    if not 0 <= sequence < SEQUENCES:
        raise ValueError(f"sequence is {sequence}, but must be 0 to {SEQUENCES - 1}")
    composed = (unix_ms - EPOCH_MS) << _MS_SHIFT | shard << _SEQUENCE_BITS | sequence
    if composed == 0:
        raise ValueError("the first id of shard 0 would be 0, which is no id; start at sequence 1")
    return composed


def id_ms(composed: int) -> int:
    """The Unix millisecond at which the id was minted."""
    return (composed >> _MS_SHIFT) + EPOCH_MS


def first_id_at(unix_ms: int) -> int:
    """Return the smallest id of that millisecond; for times up to 2024, return 1, the smallest id.

    Raises:
        ValueError: The time is after the last one that ids can hold (2058).
    """
    if unix_ms > _MS_MAX:
        raise ValueError(f"unix_ms is {unix_ms}, but ids hold times up to {_MS_MAX} (2058)")
    return max(1, (unix_ms - EPOCH_MS) << _MS_SHIFT)


def parse_id(value: object, name: str = "id") -> int:
    """Return the id in a value from outside: an integer, or its canonical decimal text.

    Nothing else is accepted: no `True`, `1.0`, `"1_000"`, `" 12"`, `"+1"` or `"007"`.

    Raises:
        ValueError: The message has `name`, the value and the rule.
    """
    if type(value) is int:
        number = value
    elif isinstance(value, str) and _DECIMAL.fullmatch(value):
        number = int(value)
    else:
        number = 0
    if not 1 <= number <= ID_MAX:
        raise ValueError(
            f"{name} is {quoted(value)}, but must be an integer from 1 to {ID_MAX} or its decimal string"
        )
    return number


def pack_id(number: int) -> bytes:
    """8 bytes, big-endian."""
    return _ONE.pack(number)


def unpack_id(packed: bytes) -> int:
    """The id in exactly 8 bytes; anything else raises ValueError."""
    if len(packed) != ID_BYTES:
        raise ValueError(f"a packed id is {quoted(packed)}, but must be {ID_BYTES} bytes")
    number: int = _ONE.unpack(packed)[0]
    return number


def pack_ids(numbers: Iterable[int]) -> bytes:
    """8 bytes an id, big-endian, in the order given."""
    listed = tuple(numbers)
    return struct.pack(f">{len(listed)}Q", *listed)


def unpack_ids(packed: bytes) -> tuple[int, ...]:
    """What `pack_ids` packed; a length that is no multiple of 8 raises ValueError."""
    count, rest = divmod(len(packed), ID_BYTES)
    if rest:
        raise ValueError(f"packed ids are {len(packed)} bytes long, but must be a multiple of {ID_BYTES}")
    return struct.unpack(f">{count}Q", packed)


# Packed ids: 8 bytes each, big-endian.
PackedIds = NewType("PackedIds", bytes)
