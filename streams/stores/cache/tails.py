"""Cached values with a tail: the base as it was loaded, then records of what has changed since.

    offset  size  what, big-endian
    0       8     newest: the version of the newest state that the load of the base has seen
    8       8     the length of the base in bytes
    16      n     the base
    16 + n  24*m  records: what has changed, its version, a detail; 8 bytes each

A record is appended only if its version is above `newest`. A process may learn late of an old change, when
the base already has a later one that cancels it; a record of the old change would hide the later one. Of
several records of one thing the greatest version counts, so their order has no meaning.
`cache_append.lua` does to a value in Redis what `appended` does here.
"""

from collections.abc import Sequence

HEADER_BYTES = 16
RECORD_BYTES = 24
# 3 kB, beside 16 bytes for each followee. The change after that removes the value, and it is loaded again.
TAIL_RECORDS_MAX = 128

_KEY_BYTES = 16


def appended(value: bytes, records: Sequence[bytes]) -> bytes | None:
    """Return the value with the records at its end; None if it cannot have them and must be removed.

    A record whose thing and version are in the tail is not appended again; the greater detail stays.
    """
    newest, base_end = value[:8], HEADER_BYTES + int.from_bytes(value[8:HEADER_BYTES])
    tail = {
        value[at : at + _KEY_BYTES]: value[at + _KEY_BYTES : at + RECORD_BYTES]
        for at in range(base_end, len(value), RECORD_BYTES)
    }
    for record in records:
        key, detail = record[:_KEY_BYTES], record[_KEY_BYTES:]
        if key not in tail and (key[8:] <= newest or len(tail) == TAIL_RECORDS_MAX):
            return None
        tail[key] = max(tail.get(key, detail), detail)
    return value[:base_end] + b"".join(key + detail for key, detail in tail.items())
