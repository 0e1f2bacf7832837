"""Cached values with a tail: the base as it was loaded, then records of what has changed since.

    offset  size  what, big-endian
    0       8     newest: the version of the newest state that the load of the base has seen
    8       8     the length of the base in bytes
    16      n     the base
    16 + n  24*m  records: what has changed, its version, a detail; 8 bytes each

There is one record of each thing that has changed, that of the greatest version. A record of another thing
is appended only if its version is above `newest`. A process may learn late of an old change, when the base
already has a later one that cancels it; a record of the old change would hide the later one.
`cache_append.lua` does to a value in Redis what `appended` does here.
"""

from collections.abc import Sequence

HEADER_BYTES = 16
RECORD_BYTES = 24
# 3 kB, beside 16 bytes for each followee. The change after that removes the value, and it is loaded again.
TAIL_RECORDS_MAX = 128

_THING_BYTES = 8


def appended(value: bytes, records: Sequence[bytes]) -> bytes | None:
    """Return the value with the records at its end; None if it cannot have them and must be removed.

    Of two records of one thing, the greater version stays; of the same version, the greater detail.
    """
    newest, base_end = value[:8], HEADER_BYTES + int.from_bytes(value[8:HEADER_BYTES])
    tail = {
        value[at : at + _THING_BYTES]: value[at : at + RECORD_BYTES]
        for at in range(base_end, len(value), RECORD_BYTES)
    }
    for record in records:
        thing, version = record[:_THING_BYTES], record[_THING_BYTES : 2 * _THING_BYTES]
        if thing not in tail and (version <= newest or len(tail) == TAIL_RECORDS_MAX):
            return None
        tail[thing] = max(tail.get(thing, record), record)
    return value[:base_end] + b"".join(tail.values())
