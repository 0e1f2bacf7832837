"""The bytes of a stored timeline: a ring of photo ids that never grows.

    offset  size  what, big-endian
    0       4     2^31 + arrivals, counting the photos of the last layout; names the slot to write next
    4       4     version, raised by every layout
    8       8     rebuild token; zeros when the timeline is whole
    16      8     floor: the ring holds every pushed photo above this id
    24      64    the first block: the newest 1 to 8 photo ids; behind them ids that are elsewhere, or zeros
    88      64*n  further blocks of 8 photo ids, zeros when empty

`timeline_append.lua` appends in place: into the first block, which one read and one write reach
together with the header. When the first block is full, it moves to the place of the oldest block.
The floor rises to the greatest id that it overwrites, so that the ring is always complete above its
floor. At least all but 7 of the slots then hold photos above the floor.

`timeline_insert.lua` inserts a late photo before the newer ones, which move by one slot. So the photos
stay in the order in which they are overwritten, and none is overwritten before an older one.

Everything else computes a new layout here and swaps it in if the first 16 bytes have not changed.

Until 2026-11-29 there was no first block: slot 0 followed the header, the arrivals modulo the slots
were the slot to write next, and bit 31 of the arrivals was not set. Such values are read alike, and
`timeline_append.lua` appends to them.
"""

from array import array
from bisect import bisect
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from sys import byteorder

from more_itertools import chunked, flatten

HEADER_BYTES = 24
GUARD_BYTES = 16
TOKEN_BYTES = 8
NO_TOKEN = bytes(TOKEN_BYTES)
BLOCK = 8  # Slots. As many appends share the moving of a block.
ARRIVALS_MARK = 1 << 31


@dataclass(frozen=True, slots=True)
class Ring:
    """A parsed ring. `slots` may repeat ids and have zeros. A swap compares `guard`."""

    guard: bytes
    floor: int
    slots: Sequence[int]

    @property
    def ids(self) -> frozenset[int]:
        return frozenset(self.slots) - {0}

    @property
    def held(self) -> Sequence[int]:
        """The ids of all slots that count, perhaps repeated and with zeros.

        When the first block moves, its slots keep what is elsewhere from then on, until they are overwritten.
        """
        number = int.from_bytes(self.guard[:4])
        if number < ARRIVALS_MARK:
            return self.slots
        in_first = (self.arrivals - 1) % BLOCK + 1 if self.arrivals else 0
        return [*self.slots[:in_first], *self.slots[BLOCK:]]

    def descending(self) -> list[int]:
        """Return the ids in descending order; repeated ids are not removed."""
        # The slots are nearly in ascending order, so sorting takes 20 µs, a set twice as long.
        ordered = sorted(self.slots, reverse=True)
        return ordered if ordered[-1:] != [0] else ordered[: ordered.index(0)]

    @property
    def arrivals(self) -> int:
        return int.from_bytes(self.guard[:4]) & (ARRIVALS_MARK - 1)

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
    """Return the bytes of a ring with the newest `slots` of `ids`; `slots` is a multiple of `BLOCK`.

    If older ids are dropped, the floor rises to the newest dropped id.
    """
    ordered = sorted(set(ids))
    if len(ordered) > slots:
        floor = max(floor, ordered[-slots - 1])
        ordered = ordered[-slots:]
    in_first = (len(ordered) - 1) % BLOCK + 1 if ordered else 0
    first, others = ordered[len(ordered) - in_first :], ordered[: len(ordered) - in_first]
    empty = [0] * (slots - BLOCK - len(others))
    body = array("Q", [*first, *[0] * (BLOCK - in_first), *others, *empty])
    if byteorder == "little":
        body.byteswap()
    return b"".join(
        (
            (ARRIVALS_MARK + len(ordered)).to_bytes(4),
            (version & 0xFFFFFFFF).to_bytes(4),
            token,
            floor.to_bytes(8),
            body.tobytes(),
        )
    )


def inserted(value: bytes, photo: int) -> bytes:
    """Return the ring's bytes with a late photo inserted before the newer ones.

    Nothing changes if it is in the ring already, or is not above the floor. If a full ring has room for
    it only among the photos that are overwritten next, the floor rises to it instead, and the version
    with the floor. Photos that were appended out of order are passed as a binary search passes them.
    """
    ring = parse(value)
    if photo <= ring.floor or photo in ring.slots:
        return value
    first, *others = chunked(ring.slots, BLOCK)
    arrivals, floor = ring.arrivals, ring.floor
    moved = max(0, arrivals - 1) // BLOCK
    oldest = max(0, moved - len(others))
    is_first_full = arrivals == (moved + 1) * BLOCK
    in_order = [
        *flatten(others[block % len(others)] for block in range(oldest, moved)),
        *first[: arrivals - moved * BLOCK],
    ]
    place = bisect(in_order, photo)
    if is_first_full and moved >= len(others):
        if place < BLOCK:
            version = ((ring.version + 1) & 0xFFFFFFFF).to_bytes(4)
            return value[:4] + version + ring.token + photo.to_bytes(8) + value[HEADER_BYTES:]
        floor = max(floor, *in_order[:BLOCK])
    in_order.insert(place, photo)
    blocks = [*chunked(in_order, BLOCK)]
    for block, photos in enumerate(blocks[:-1], start=oldest):
        others[block % len(others)] = photos
    first[: len(blocks[-1])] = blocks[-1]
    body = array("Q", [*first, *flatten(others)])
    if byteorder == "little":
        body.byteswap()
    count = (ARRIVALS_MARK + arrivals + 1).to_bytes(4)
    return count + value[4:GUARD_BYTES] + floor.to_bytes(8) + body.tobytes()


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
