"""Timelines in Redis: one string a reader, in the layout of `core/ring.py`.

NAMESPACE t + owner         the timeline; the owner is 8 bytes
NAMESPACE n + partition     the checkpoint of a partition of `fanout`
NAMESPACE v + incarnation   the partitions whose worker found this server no older than its commits
"""

from collections.abc import Mapping, Sequence
from typing import cast

from more_itertools import sliced

from schemas.ids import PackedIds, PhotoId, UserId, pack_id, pack_ids
from streams.core import ring
from streams.errors import StoreUnavailable
from streams.ports.timelines import PhotosForOwners, Timelines
from streams.stores.redis.client import STORE, RedisClient

# A swap replaces a timeline that was read. It fails if an append has changed the timeline since;
# then the timeline is read again, at most so many times.
SWAP_TRIES = 20
SCAN_KEYS = 1_000


class RedisTimelines(Timelines):
    """The rings and checkpoints of one Redis server."""

    def __init__(
        self,
        client: RedisClient,
        *,
        namespace: str,
        slots: int,
        ttl_s: int,
        renew_s: int,
        rebuild_ttl_ms: int,
        merge_owners_max: int,
        fanout_partitions: int,
    ) -> None:
        self._client = client
        self._redis = client.redis
        self._prefix = namespace.encode() + b"t"
        self._checkpoints = namespace.encode() + b"n"
        self._verified = namespace.encode() + b"v"
        self._slots = slots
        self._ttl_s = ttl_s
        self._renew_s = renew_s
        self._rebuild_ttl = b"%d" % rebuild_ttl_ms
        self._merge_owners_max = merge_owners_max
        self._fanout_partitions = fanout_partitions
        self._append = client.script("timeline_append")
        self._existing = client.script("timeline_existing")
        self._swap = client.script("timeline_swap")
        self._save_checkpoint = client.script("checkpoint")
        self._confirm = client.script("confirm")

    async def append(self, puts: Sequence[PhotosForOwners]) -> int:
        packed = [value for put in puts for value in (pack_ids(put.photos), put.owners)]
        args = [self._prefix, *packed]
        return int(
            await self._client.call("append", self._client.ask_script, self._append, [self._prefix], args)
        )

    async def merge(self, owners: Sequence[UserId], photos: Sequence[PhotoId]) -> int:
        existing = 0
        for page in sliced(owners, self._merge_owners_max):
            existing += await self._merge_page(page, photos)
        return existing

    async def _merge_page(self, owners: Sequence[UserId], photos: Sequence[PhotoId]) -> int:
        existing: set[bytes] = set()
        keys = [self._key(owner) for owner in owners]
        for _ in range(SWAP_TRIES):
            values = await self._client.call("merge", self._redis.mget, keys)
            swaps = []
            for key, value in zip(keys, values, strict=True):
                if value is None:
                    continue
                existing.add(key)
                stored = ring.parse(value)
                new = ring.merge(stored, photos, slots=self._slots)
                if new is not None:
                    swaps.append((key, stored.guard, new))
            changed = await self._swap_all(swaps)
            if not changed:
                return len(existing)
            keys = changed
        raise StoreUnavailable(STORE, "merge", f"{len(keys)} timelines changed {SWAP_TRIES} times")

    async def _swap_all(self, swaps: Sequence[tuple[bytes, bytes, bytes]]) -> list[bytes]:
        """Swap each (key, guard, bytes), keeping its TTL; returns the keys that had changed."""
        if not swaps:
            return []

        async def run() -> list[int]:
            pipe = self._redis.pipeline(transaction=False)
            for key, guard, new in swaps:
                await self._swap(keys=[key], args=[guard, new, ""], client=pipe)
            return list(await pipe.execute())

        swapped = await self._client.call("merge", run)
        return [key for (key, _, _), is_swapped in zip(swaps, swapped, strict=True) if not is_swapped]

    async def existing(self, owners: PackedIds) -> PackedIds:
        args = [self._prefix, owners]
        return PackedIds(await self._client.call("existing", self._existing, keys=[self._prefix], args=args))

    async def read(self, owner: UserId) -> bytes | None:
        value, ttl_s = await self._client.call("read", self._client.ask_together, self.read_commands(owner))
        await self.renew(owner, value, ttl_s)
        return cast(bytes | None, value)

    def read_commands(self, owner: UserId) -> Sequence[tuple[bytes, ...]]:
        """Return the commands for the ring's bytes and its TTL, which `renew` takes."""
        key = self._key(owner)
        return (b"GET", key), (b"TTL", key)

    async def renew(self, owner: UserId, value: bytes | None, ttl_s: int) -> None:
        """Renew the TTL of a timeline that was read, if it is due."""
        # The TTL of a timeline under rebuild is not renewed, so the timeline expires soon if the
        # process that rebuilds it dies.
        if (
            value is not None
            and ttl_s < self._ttl_s - self._renew_s
            and ring.token_of(value) == ring.NO_TOKEN
        ):
            await self._client.call("read", self._redis.expire, self._key(owner), self._ttl_s)

    async def begin_rebuild(self, owner: UserId, token: bytes) -> bool:
        created = await self._client.call(
            "rebuild",
            self._client.ask,
            *(b"SET", self._key(owner), self._begun(token), b"NX", b"PX", self._rebuild_ttl),
        )
        return bool(created)

    async def finish_rebuild(
        self, owner: UserId, token: bytes, photos: Sequence[PhotoId], floor: int
    ) -> bool:
        key = self._key(owner)
        value = self._begun(token)  # Most often nothing has been appended since, so this saves a read.
        for _ in range(SWAP_TRIES):
            stored = ring.parse(value)
            new = ring.rebuilt(stored, photos, floor=floor, slots=self._slots)
            args = [stored.guard, new, b"%d" % self._ttl_s]
            if await self._client.call("rebuild", self._client.ask_script, self._swap, [key], args):
                return True
            value = await self._client.call("rebuild", self._client.ask, b"GET", key)
            if value is None or ring.token_of(value) != token:
                return False
        raise StoreUnavailable(STORE, "rebuild", f"the timeline of {owner} changed {SWAP_TRIES} times")

    async def forget(self, owner: UserId) -> None:
        await self._client.call("forget", self._redis.unlink, self._key(owner))

    async def forget_all(self) -> int:
        forgotten, cursor = 0, 0
        # The namespace needs no escaping: it has only letters, digits and a dot.
        pattern = self._prefix + b"????????"
        while True:
            cursor, keys = await self._client.call(
                "forget all", self._redis.scan, cursor, match=pattern, count=SCAN_KEYS
            )
            if keys:
                forgotten += await self._client.call("forget all", self._redis.unlink, *keys)
            if cursor == 0:
                return forgotten

    async def checkpoints(self, partitions: Sequence[int]) -> dict[int, int]:
        if not partitions:
            return {}
        keys = [self._checkpoint_key(partition) for partition in partitions]
        values = await self._client.call("checkpoints", self._redis.mget, keys)
        return {
            partition: int(value)
            for partition, value in zip(partitions, values, strict=True)
            if value is not None
        }

    async def save_checkpoint(self, partition: int, position: int, *, expected: int | None) -> bool:
        args = [b"" if expected is None else b"%d" % expected, b"%d" % position]
        key = self._checkpoint_key(partition)
        return bool(
            await self._client.call("checkpoint", self._client.ask_script, self._save_checkpoint, [key], args)
        )

    async def save_all_checkpoints(self, positions: Mapping[int, int]) -> bool:
        values = {self._checkpoint_key(partition): position for partition, position in positions.items()}
        return bool(await self._client.call("checkpoint", self._redis.msetnx, values))

    async def verified(self) -> bool:
        return self.are_verified(
            await self._client.call_in_incarnation(
                "verified", lambda incarnation: self._client.ask(*self.verified_command(incarnation))
            )
        )

    def verified_command(self, incarnation: bytes) -> tuple[bytes, ...]:
        """Return the command whose reply `are_verified` takes."""
        return b"HLEN", self._verified + incarnation

    def are_verified(self, partitions: int) -> bool:
        return partitions >= self._fanout_partitions

    async def confirm(self, expected: Mapping[int, int]) -> set[int]:
        partitions = sorted(expected)
        keys = [self._checkpoint_key(partition) for partition in partitions]
        args = [b"%d" % value for partition in partitions for value in (partition, expected[partition])]
        moved = await self._client.call_in_incarnation(
            "confirm",
            lambda incarnation: self._client.ask_script(
                self._confirm, [self._verified + incarnation, *keys], args
            ),
        )
        return {int(partition) for partition in moved}

    def _begun(self, token: bytes) -> bytes:
        """Return the timeline of a rebuild that has just begun."""
        return ring.lay_out((), slots=self._slots, floor=0, version=0, token=token)

    def _key(self, owner: UserId) -> bytes:
        return self._prefix + pack_id(owner)

    def _checkpoint_key(self, partition: int) -> bytes:
        return self._checkpoints + str(partition).encode()
