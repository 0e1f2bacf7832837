"""Timelines in memory: the same rings as in Redis, byte for byte; what a page reads together with one, and
who reads them."""

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce

from more_itertools import chunked, flatten

from schemas.ids import PackedIds, PhotoId, UserId, pack_ids, unpack_ids
from streams.core import ring
from streams.core.checkpoints import group_of, lowest_of
from streams.ports.cache import Cache
from streams.ports.timelines import ActiveReaders, PageStart, PageStarts, PhotosForOwners, Timelines


@dataclass(slots=True)
class _Stored:
    value: bytes
    expires_ms: int


class MemoryTimelines(Timelines):
    """The rings by owner, and for each group the checkpoints by partition of `fanout`."""

    def __init__(
        self,
        clock_ms: Callable[[], int],
        *,
        slots: int,
        ttl_s: int,
        renew_s: int,
        rebuild_ttl_ms: int,
        fanout_partitions: int,
        groups: int = 1,
    ) -> None:
        """`groups` is a power of two, at most 256."""
        self._clock_ms = clock_ms
        self._slots = slots
        self._ttl_ms = ttl_s * 1_000
        self._renew_ms = renew_s * 1_000
        self._rebuild_ttl_ms = rebuild_ttl_ms
        self._fanout_partitions = fanout_partitions
        self._rings: dict[UserId, _Stored] = {}
        self._checkpoints: list[dict[int, int]] = [{} for _ in range(groups)]
        self._verified: list[set[int]] = [set() for _ in range(groups)]

    async def groups_by_server(self) -> Sequence[Sequence[int]]:
        return [range(len(self._checkpoints))]

    async def append(self, puts: Sequence[PhotosForOwners]) -> int:
        deliveries = 0
        for put in puts:
            for owner in unpack_ids(put.owners):
                stored = self._timeline(UserId(owner))
                if stored is not None:
                    stored.value = _appended(stored.value, put.photos)
                    deliveries += len(put.photos)
        return deliveries

    async def insert(self, owners: PackedIds, photos: Sequence[PhotoId]) -> int:
        late = sorted(set(photos))
        deliveries = 0
        for owner in unpack_ids(owners):
            stored = self._timeline(UserId(owner))
            if stored is not None:
                stored.value = reduce(ring.inserted, late, stored.value)
                deliveries += len(late)
        return deliveries

    async def merge(self, owner: UserId, photos: Sequence[PhotoId]) -> bool:
        stored = self._timeline(owner)
        if stored is None:
            return False
        stored.value = ring.merge(ring.parse(stored.value), photos, slots=self._slots) or stored.value
        return True

    async def existing(self, owners: PackedIds) -> PackedIds:
        exist = [owner for owner in unpack_ids(owners) if self._timeline(UserId(owner)) is not None]
        return PackedIds(pack_ids(exist))

    async def read(self, owner: UserId) -> bytes | None:
        stored = self._timeline(owner)
        if stored is None:
            return None
        left_ms = stored.expires_ms - self._clock_ms()
        # The TTL of a timeline under rebuild is not renewed, so the timeline expires soon if the
        # process that rebuilds it dies.
        if left_ms < self._ttl_ms - self._renew_ms and ring.token_of(stored.value) == ring.NO_TOKEN:
            stored.expires_ms = self._clock_ms() + self._ttl_ms
        return stored.value

    async def peek(self, owner: UserId) -> bytes | None:
        stored = self._timeline(owner)
        return None if stored is None else stored.value

    async def begin_rebuild(self, owner: UserId, token: bytes) -> bool:
        if self._timeline(owner) is not None:
            return False
        empty = ring.lay_out((), slots=self._slots, floor=0, version=0, token=token)
        self._rings[owner] = _Stored(empty, self._clock_ms() + self._rebuild_ttl_ms)
        return True

    async def finish_rebuild(
        self, owner: UserId, token: bytes, photos: Sequence[PhotoId], floor: int
    ) -> bool:
        stored = self._timeline(owner)
        if stored is None or ring.token_of(stored.value) != token:
            return False
        stored.value = ring.rebuilt(ring.parse(stored.value), photos, floor=floor, slots=self._slots)
        stored.expires_ms = self._clock_ms() + self._ttl_ms
        return True

    async def forget(self, owner: UserId) -> None:
        self._rings.pop(owner, None)

    async def forget_all(self, groups: Collection[int] | None = None) -> int:
        chosen = self._chosen(groups)
        owners = [owner for owner in self._rings if self.group_of(owner) in chosen]
        forgotten = sum(self._timeline(owner) is not None for owner in owners)
        for owner in owners:
            del self._rings[owner]
        return forgotten

    def group_of(self, owner: UserId) -> int:
        return group_of(owner, len(self._checkpoints))

    def lose(self, group: int) -> None:
        """Be as if the server of the group's timelines had been replaced by an empty one."""
        for owner in [owner for owner in self._rings if self.group_of(owner) == group]:
            del self._rings[owner]
        self._checkpoints[group].clear()
        self._verified[group].clear()

    async def checkpoints(self, partitions: Sequence[int]) -> dict[int, int]:
        return lowest_of(await self.checkpoints_by_group(partitions))

    async def checkpoints_by_server(
        self, partitions: Sequence[int]
    ) -> Sequence[tuple[Sequence[int], Mapping[int, int] | None]]:
        return [(range(len(self._checkpoints)), await self.checkpoints(partitions))]

    async def checkpoints_by_group(
        self, partitions: Sequence[int], groups: Collection[int] | None = None
    ) -> list[dict[int, int]]:
        return [
            {
                partition: self._checkpoints[group][partition]
                for partition in partitions
                if partition in self._checkpoints[group]
            }
            for group in self._chosen(groups)
        ]

    async def save_checkpoint(
        self, partition: int, position: int, *, expected: int | None, groups: Collection[int] | None = None
    ) -> bool:
        # The first group's is stored last.
        for group in sorted(self._chosen(groups), reverse=True):
            stored = self._checkpoints[group].get(partition)
            if stored not in (expected, position):
                return False
            self._checkpoints[group][partition] = position
        return True

    async def save_all_checkpoints(
        self, positions: Mapping[int, int], groups: Collection[int] | None = None
    ) -> bool:
        new = [
            group for group in self._chosen(groups) if not self._checkpoints[group].keys() & positions.keys()
        ]
        for group in new:
            self._checkpoints[group].update(positions)
        return len(new) == len(self._chosen(groups))

    async def verified(self) -> bool:
        return all(len(verified) >= self._fanout_partitions for verified in self._verified)

    async def confirm(self, expected: Mapping[int, int], groups: Collection[int] | None = None) -> set[int]:
        different = set()
        for group in self._chosen(groups):
            checkpoints, verified = self._checkpoints[group], self._verified[group]
            as_expected = {
                partition
                for partition, position in expected.items()
                if checkpoints.get(partition) == position
            }
            verified |= as_expected
            different |= set(expected) - as_expected
        return different

    def _chosen(self, groups: Collection[int] | None) -> Collection[int]:
        return range(len(self._checkpoints)) if groups is None else groups

    def _timeline(self, owner: UserId) -> _Stored | None:
        stored = self._rings.get(owner)
        return stored if stored is not None and stored.expires_ms > self._clock_ms() else None


@dataclass(frozen=True, slots=True)
class MemoryPageStarts(PageStarts):
    """Reads the twins one after the other."""

    cache: Cache
    timelines: Timelines

    async def read(self, keys: Sequence[bytes], reader: UserId) -> PageStart:
        return PageStart(
            await self.cache.get(keys), await self.timelines.read(reader), await self.timelines.verified()
        )


def _appended(value: bytes, photos: Sequence[PhotoId]) -> bytes:
    """Return the ring with `photos` appended, byte for byte as `timeline_append.lua` makes it."""
    parsed = ring.parse(value)
    arrivals, floor = parsed.arrivals, parsed.floor
    first, *others = chunked(parsed.slots, ring.BLOCK)
    for photo in photos:
        used = arrivals % ring.BLOCK
        if used == 0 and arrivals > 0:
            oldest = (arrivals // ring.BLOCK - 1) % len(others)
            floor = max(floor, *others[oldest])
            others[oldest] = list(first)
        first[used] = photo
        arrivals += 1
    count = (ring.ARRIVALS_MARK + arrivals).to_bytes(4)
    return count + value[4 : ring.GUARD_BYTES] + pack_ids([floor, *first, *flatten(others)])


class MemoryActiveReaders(ActiveReaders):
    """The readers by hour; nothing expires."""

    def __init__(self) -> None:
        self._readers: dict[int, set[UserId]] = defaultdict(set)

    async def record(self, hour: int, readers: Collection[UserId]) -> None:
        self._readers[hour].update(readers)

    async def page(self, hour: int, after: UserId | None, count: int) -> list[UserId]:
        return sorted(reader for reader in self._readers[hour] if after is None or reader > after)[:count]
