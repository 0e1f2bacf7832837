"""A second and very simple computation of a timeline's bytes. Redis and the twin must store the
same bytes as this model."""

import struct
from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass(slots=True)
class RingModel:
    """A ring of `slots` ids, as `core/ring.py` describes it."""

    slots: int
    token: bytes
    arrivals: int = 0
    version: int = 0
    floor: int = 0
    cells: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.cells = [0] * self.slots

    def append(self, photo: int) -> None:
        at = self.arrivals % self.slots
        self.arrivals += 1
        self.floor = max(self.floor, self.cells[at])
        self.cells[at] = photo

    def merge(self, photos: Iterable[int]) -> None:
        ids = {photo for photo in self.cells if photo}
        new = {photo for photo in photos if photo > self.floor and photo not in ids}
        if new:
            self._lay_out(ids | new)

    def finish(self, found: Iterable[int], floor: int) -> None:
        self._lay_out({*found, *(photo for photo in self.cells if photo > floor)}, floor)
        self.token = bytes(8)

    def _lay_out(self, ids: set[int], floor: int = 0) -> None:
        newest = sorted(ids)[-self.slots :]
        dropped = max(ids - set(newest), default=0)
        self.floor = max(self.floor, floor, dropped)
        self.cells = newest + [0] * (self.slots - len(newest))
        self.arrivals, self.version = len(newest), self.version + 1

    def value(self) -> bytes:
        head = struct.pack(">II8sQ", self.arrivals, self.version, self.token, self.floor)
        return head + struct.pack(f">{self.slots}Q", *self.cells)
