"""The bytes of a stored timeline: a ring of photo ids that never grows.

    offset  size  what, big-endian
    0       4     arrivals since the last layout; names the slot to write next
    4       4     version, raised by every layout
    8       8     rebuild token; zeros when the timeline is whole
    16      8     floor: the ring holds every pushed photo above this id
    24      8*n   slots of photo ids, zeros when empty

`timeline_append.lua` appends in place. Everything else computes a new layout here and swaps it in
if the first 16 bytes have not changed. A layout is in ascending order from slot 0, so the next append
overwrites the oldest photo. An overwritten photo raises the floor, so the ring always states
the id above which it is complete.
"""

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from sys import byteorder

HEADER_BYTES = 24
GUARD_BYTES = 16
TOKEN_BYTES = 8
NO_TOKEN = bytes(TOKEN_BYTES)


@dataclass(frozen=True, slots=True)
class Ring:
    """A ring as read; `slots` may hold an id twice, and zeros; `guard` is what a swap compares."""

    guard: bytes
    floor: int
    slots: Sequence[int]

    @property
    def ids(self) -> frozenset[int]:
        return frozenset(self.slots) - {0}

    def descending(self) -> list[int]:
        """The ids as readers take them; those that are there twice stay so."""
        # They nearly ascend already, so that this costs 20 µs and a set twice as much.
        ordered = sorted(self.slots, reverse=True)
        return ordered if ordered[-1:] != [0] else ordered[: ordered.index(0)]

    @property
    def version(self) -> int:
        return int.from_bytes(self.guard[4:8])

    @property
    def token(self) -> bytes:
        """The rebuild's token, or zeros when the timeline is whole."""
        return self.guard[8:16]


def parse(value: bytes) -> Ring:
    """Read a ring's bytes."""
    slots = array("Q", value[HEADER_BYTES:])
    if byteorder == "little":
        slots.byteswap()
    return Ring(
        guard=value[:GUARD_BYTES],
        floor=int.from_bytes(value[16:HEADER_BYTES]),
        slots=slots,
    )


def token_of(value: bytes) -> bytes:
    """The rebuild token of a ring's bytes, without reading the rest."""
    return value[8:GUARD_BYTES]


def lay_out(ids: Iterable[int], *, slots: int, floor: int, version: int, token: bytes = NO_TOKEN) -> bytes:
    """A ring of the newest `slots` of `ids`; dropping older ones raises the floor to the newest dropped."""
    ordered = sorted(set(ids))
    if len(ordered) > slots:
        floor = max(floor, ordered[-slots - 1])
        ordered = ordered[-slots:]
    body = array("Q", ordered + [0] * (slots - len(ordered)))
    if byteorder == "little":
        body.byteswap()
    return b"".join(
        (
            len(ordered).to_bytes(4),
            (version & 0xFFFFFFFF).to_bytes(4),
            token,
            floor.to_bytes(8),
            body.tobytes(),
        )
    )


def merge(ring: Ring, late: Iterable[int], *, slots: int) -> bytes | None:
    """The ring with `late` ids merged in by id, or None when it would be the same.

    Ids at or below the floor are left out: the ring says nothing about that depth.
    """
    ids = ring.ids
    new = {photo for photo in late if photo > ring.floor} - ids
    if not new:
        return None
    return lay_out(ids | new, slots=slots, floor=ring.floor, version=ring.version + 1, token=ring.token)


def rebuilt(ring: Ring, found: Iterable[int], *, floor: int, slots: int) -> bytes:
    """The whole timeline: what the database holds above `floor`, and what arrived meanwhile."""
    found = set(found)
    # What arrived below the floor is older than what the database was read for; without
    # its neighbours it would make a gap look whole.
    ids = found | {photo for photo in ring.ids if photo > floor}
    return lay_out(ids, slots=slots, floor=max(floor, ring.floor), version=ring.version + 1)
