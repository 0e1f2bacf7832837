"""The bytes of a stored timeline: a ring of photo ids that never grows.

    offset  size  what, big-endian
    0       4     arrivals since the last layout; names the slot to write next
    4       4     version, raised by every layout
    8       8     rebuild token; zeros when the timeline is whole
    16      8     floor: the ring holds every pushed photo above this id
    24      8*n   slots of photo ids, zeros when empty

`timeline_append.lua` appends in place. Everything else computes a new layout here and swaps it in
if the first 16 bytes have not changed. A layout is in ascending order from slot 0, so an append to
a full ring overwrites the oldest photo. The floor rises to the id of each overwritten photo, so
that the ring is always complete above its floor.
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
    """A parsed ring. `slots` may repeat ids and have zeros. A swap compares `guard`."""

    guard: bytes
    floor: int
    slots: Sequence[int]

    @property
    def ids(self) -> frozenset[int]:
        return frozenset(self.slots) - {0}

    def descending(self) -> list[int]:
        """Return the ids in descending order; repeated ids are not removed."""
        # The slots are nearly in ascending order, so sorting takes 20 µs, a set twice as long.
        ordered = sorted(self.slots, reverse=True)
        return ordered if ordered[-1:] != [0] else ordered[: ordered.index(0)]

    @property
    def version(self) -> int:
        return int.from_bytes(self.guard[4:8])

    @property
    def token(self) -> bytes:
        """The token of the rebuild that is running, or zeros when the timeline is complete."""
        return self.guard[8:16]


def parse(value: bytes) -> Ring:
    """Parse a ring's bytes."""
    slots = array("Q", value[HEADER_BYTES:])
    if byteorder == "little":
        slots.byteswap()
    return Ring(
        guard=value[:GUARD_BYTES],
        floor=int.from_bytes(value[16:HEADER_BYTES]),
        slots=slots,
    )


def token_of(value: bytes) -> bytes:
    """Return the rebuild token of a ring's bytes without parsing the rest."""
    return value[8:GUARD_BYTES]


def lay_out(ids: Iterable[int], *, slots: int, floor: int, version: int, token: bytes = NO_TOKEN) -> bytes:
    """Return the bytes of a ring with the newest `slots` of `ids`.

    If older ids are dropped, the floor rises to the newest dropped id.
    """
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
    """Return the bytes of the ring with `late` ids merged in, or None if nothing would change.

    Ids at or below the floor are ignored, because the ring need not be complete there.
    """
    ids = ring.ids
    new = {photo for photo in late if photo > ring.floor} - ids
    if not new:
        return None
    return lay_out(ids | new, slots=slots, floor=ring.floor, version=ring.version + 1, token=ring.token)


def rebuilt(ring: Ring, found: Iterable[int], *, floor: int, slots: int) -> bytes:
    """Return the bytes of the complete timeline, after a rebuild.

    It has the ids that were `found` in the database above `floor`, and those that were appended
    meanwhile.
    """
    found = set(found)
    # Ids appended at or below `floor` are dropped. The database was not read that deep, so other
    # photos next to them may be missing, and a page with that gap would look complete.
    ids = found | {photo for photo in ring.ids if photo > floor}
    return lay_out(ids, slots=slots, floor=max(floor, ring.floor), version=ring.version + 1)
