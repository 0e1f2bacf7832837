"""A second and very simple computation of a timeline's bytes. Redis and the twin must store the
same bytes as this model."""

import struct
from bisect import bisect
from collections.abc import Iterable
from dataclasses import dataclass, field

BLOCK = 8


@dataclass(slots=True)
class RingModel:
    """A ring of `slots` ids, as `core/ring.py` describes it; `blocks[0]` is the first block."""

    slots: int
    token: bytes
    arrivals: int = 0
    version: int = 0
    floor: int = 0
    blocks: list[list[int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._clear()

    def append(self, photo: int) -> None:
        used = self.arrivals % BLOCK
        if used == 0 and self.arrivals:
            oldest = 1 + (self.arrivals // BLOCK - 1) % (len(self.blocks) - 1)
            self.floor = max(self.floor, *self.blocks[oldest])
            self.blocks[oldest] = self.blocks[0].copy()
        self.blocks[0][used] = photo
        self.arrivals += 1

    def insert(self, photo: int) -> None:
        if photo <= self.floor or photo in self._ids():
            return
        blocks = len(self.blocks) - 1
        numbers = range(max(0, (self.arrivals - 1) // BLOCK - blocks) * BLOCK, self.arrivals)
        arrived = [self.blocks[block][at] for block, at in map(self._place, numbers)]
        behind = bisect(arrived, photo)
        if behind < BLOCK and len(numbers) == self.slots:
            self.floor = photo
            self.version += 1
            return
        moved = [photo, *arrived[behind:]]
        self.append(moved[-1])
        for number, each in enumerate(moved, start=self.arrivals - len(moved)):
            block, at = self._place(number)
            self.blocks[block][at] = each

    def _place(self, number: int) -> tuple[int, int]:
        """Return the block, and the place in it, of the photo that arrived as `number`."""
        block = number // BLOCK
        is_newest = block == (self.arrivals - 1) // BLOCK
        return (0 if is_newest else 1 + block % (len(self.blocks) - 1)), number % BLOCK

    def merge(self, photos: Iterable[int]) -> None:
        ids = self._ids()
        new = {photo for photo in photos if photo > self.floor and photo not in ids}
        if new:
            self._lay_out(ids | new)

    def finish(self, found: Iterable[int], floor: int) -> None:
        self._lay_out({*found, *(photo for photo in self._ids() if photo > floor)}, floor)
        self.token = bytes(8)

    def value(self) -> bytes:
        head = struct.pack(">II8sQ", 2**31 + self.arrivals, self.version, self.token, self.floor)
        return head + b"".join(struct.pack(f">{BLOCK}Q", *block) for block in self.blocks)

    def _ids(self) -> set[int]:
        return {photo for block in self.blocks for photo in block} - {0}

    def _lay_out(self, ids: set[int], floor: int = 0) -> None:
        newest = sorted(ids)[-self.slots :]
        dropped = max(ids - set(newest), default=0)
        self.floor = max(self.floor, floor, dropped)
        self.version += 1
        self._clear()
        for photo in newest:
            if self.arrivals % BLOCK == 0 and self.arrivals:
                self.append(photo)
                self.blocks[0][1:] = [0] * (BLOCK - 1)
            else:
                self.append(photo)

    def _clear(self) -> None:
        self.arrivals = 0
        self.blocks = [[0] * BLOCK for _ in range(self.slots // BLOCK)]
