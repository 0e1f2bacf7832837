"""Timelines in Redis: one string a reader, in the layout of `core/ring.py`.

NAMESPACE t TAG owner                 the timeline; the owner is 8 bytes
NAMESPACE n TAG partition             the checkpoint of a partition of `fanout`
NAMESPACE v TAG incarnation           the partitions whose worker found this server no older than its commits

In a cluster the tag is that of the owner's group (`groups.py`), and each group has checkpoints. All groups
have the same ones, unless a server of some of them was lost, came back older, or was left out because it did
not respond. Those of the first group are stored last. Without a cluster there are no tags.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, cast

from more_itertools import flatten, sliced

from schemas.ids import ID_BYTES, PackedIds, PhotoId, UserId, pack_id, pack_ids, unpack_id
from streams.core import ring
from streams.core.checkpoints import lowest_of
from streams.errors import StoreUnavailable
from streams.ports.timelines import PhotosForOwners, Timelines
from streams.stores.redis.connection.client import (
    STORE,
    Command,
    KeysElsewhere,
    NameOf,
    RedisClient,
    Script,
    load_script,
)
from streams.stores.redis.groups import groups_of

# A swap replaces a timeline that was read. It fails if an append has changed the timeline since;
# then the timeline is read again, at most so many times.
SWAP_TRIES = 20
SCAN_KEYS = 1_000

# What a script gets for owners of one group: the group, arguments, the owners.
_Part = tuple[int, Sequence[bytes], PackedIds]


class RedisTimelines(Timelines):
    """The rings and checkpoints of one Redis server, or of a cluster."""

    def __init__(
        self,
        client: RedisClient,
        *,
        namespace: str,
        slots: int,
        ttl_s: int,
        renew_s: int,
        rebuild_ttl_ms: int,
        insert_ids_max: int,
        fanout_partitions: int,
    ) -> None:
        self._client = client
        self._groups = groups_of(is_cluster=client.is_cluster)
        self._all_groups = range(len(self._groups.texts))
        self._prefixes = [namespace.encode() + b"t" + tag for tag in self._groups.tags]
        self._checkpoints = namespace.encode() + b"n"
        self._verified = namespace.encode() + b"v"
        self._slots = slots
        self._ttl_s = ttl_s
        self._renew_s = renew_s
        self._rebuild_ttl = b"%d" % rebuild_ttl_ms
        self._insert_ids_max = insert_ids_max
        self._fanout_partitions = fanout_partitions
        self._append = load_script("timeline_append")
        self._insert = load_script("timeline_insert")
        self._existing = load_script("timeline_existing")
        self._swap = load_script("timeline_swap")
        self._save_checkpoint = load_script("checkpoint")
        self._lowest = load_script("checkpoints_lowest")
        self._confirm = load_script("confirm")

    async def groups_by_server(self) -> list[Sequence[int]]:
        return [*await self._client.by_server(self._prefixes)]

    async def append(self, puts: Sequence[PhotosForOwners]) -> int:
        parts = [
            (group, [pack_ids(put.photos)], owners)
            for put in puts
            for group, owners in self._by_group(put.owners)
        ]
        return sum(await self._client.call("append", self._on_owners, self._append, parts))

    async def insert(self, owners: PackedIds, photos: Sequence[PhotoId]) -> int:
        deliveries = 0
        for some in sliced(sorted(set(photos)), self._insert_ids_max):
            for page in sliced(owners, self._insert_ids_max // len(some) * ID_BYTES):
                parts = [(group, [pack_ids(some)], part) for group, part in self._by_group(PackedIds(page))]
                deliveries += sum(await self._client.call("insert", self._on_owners, self._insert, parts))
        return deliveries

    async def merge(self, owner: UserId, photos: Sequence[PhotoId]) -> bool:
        key = self._key(owner)
        for _ in range(SWAP_TRIES):
            value = await self._client.call("merge", self._client.ask, b"GET", key)
            if value is None:
                return False
            stored = ring.parse(value)
            new = ring.merge(stored, photos, slots=self._slots)
            if new is None or await self._client.call(
                "merge", self._client.ask_script, self._swap, [key], [stored.guard, new, b""]
            ):
                return True
        raise StoreUnavailable(STORE, "merge", f"the timeline of {owner} changed {SWAP_TRIES} times")

    async def existing(self, owners: PackedIds) -> PackedIds:
        parts: list[_Part] = [(group, [], members) for group, members in self._by_group(owners)]
        existing = await self._client.call("existing", self._on_owners, self._existing, parts)
        return PackedIds(b"".join(existing))

    async def read(self, owner: UserId) -> bytes | None:
        value, ttl_s = await self._client.call("read", self._client.ask_together, self.read_commands(owner))
        await self.renew(owner, value, ttl_s)
        return cast(bytes | None, value)

    def read_commands(self, owner: UserId) -> Sequence[Command]:
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
            command = (b"EXPIRE", self._key(owner), b"%d" % self._ttl_s)
            await self._client.call("read", self._client.ask, *command)

    async def peek(self, owner: UserId) -> bytes | None:
        return cast(bytes | None, await self._client.call("peek", self._client.ask, b"GET", self._key(owner)))

    async def begin_rebuild(self, owner: UserId, token: bytes) -> bool:
        command = (b"SET", self._key(owner), self._begun(token), b"NX", b"PX", self._rebuild_ttl)
        return bool(await self._client.call("rebuild", self._client.ask, *command))

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
        await self._client.call("forget", self._client.ask, b"UNLINK", self._key(owner))

    async def forget_all(self, groups: Collection[int] | None = None) -> int:
        prefixes = [self._prefixes[group] for group in self._chosen(groups)]
        forgotten = 0
        for server in await self._client.servers(prefixes):
            forgotten += await self._forget_on(server, prefixes)
        return forgotten

    async def _forget_on(self, server: RedisClient, prefixes: Collection[bytes]) -> int:
        # The namespace needs no escaping: it has only letters, digits and a dot. A tag has no more.
        pattern = self._prefixes[0][: -len(self._groups.tags[0]) or None]
        pattern += b"?" * (len(self._groups.tags[0]) + ID_BYTES)
        forgotten, cursor = 0, b"0"
        while True:
            scan = (b"SCAN", cursor, b"MATCH", pattern, b"COUNT", b"%d" % SCAN_KEYS)
            cursor, keys = await server.call("forget all", server.ask, *scan)
            commands = [(b"UNLINK", key) for key in keys if key[:-ID_BYTES] in prefixes]
            forgotten += sum(
                await self._client.call("forget all", self._client.ask_together, commands) if commands else ()
            )
            if cursor == b"0":
                return forgotten

    async def checkpoints(self, partitions: Sequence[int]) -> dict[int, int]:
        servers = await self.groups_by_server()
        return lowest_of(
            await asyncio.gather(*(self._lowest_of_server(groups, partitions) for groups in servers))
        )

    async def checkpoints_by_server(
        self, partitions: Sequence[int]
    ) -> list[tuple[Sequence[int], Mapping[int, int] | None]]:
        servers = await self.groups_by_server()
        asked = (self._lowest_of_server(groups, partitions) for groups in servers)
        by_server: list[tuple[Sequence[int], Mapping[int, int] | None]] = []
        failure: StoreUnavailable | None = None
        for groups, lowest in zip(servers, await asyncio.gather(*asked, return_exceptions=True), strict=True):
            if isinstance(lowest, StoreUnavailable):
                failure = lowest
                by_server.append((groups, None))
            elif isinstance(lowest, BaseException):
                raise lowest
            else:
                by_server.append((groups, lowest))
        if failure is not None and all(lowest is None for _, lowest in by_server):
            raise failure
        return by_server

    async def checkpoints_by_group(
        self, partitions: Sequence[int], groups: Collection[int] | None = None
    ) -> list[dict[int, int]]:
        return await self._checkpoints_of(self._chosen(groups), partitions)

    async def save_checkpoint(
        self, partition: int, position: int, *, expected: int | None, groups: Collection[int] | None = None
    ) -> bool:
        chosen = self._chosen(groups)
        values = [b"" if expected is None else b"%d" % expected, b"%d" % position]
        others, first = [group for group in chosen if group > 0], [group for group in chosen if group == 0]
        return await self._save(others, partition, values) and await self._save(first, partition, values)

    async def _save(self, groups: Sequence[int], partition: int, values: Sequence[bytes]) -> bool:
        keys = [self._checkpoint_key(group, partition) for group in groups]

        def args_of(indexes: Iterable[int]) -> list[bytes]:
            return [*values, *(keys[at] for at in indexes)]

        async def run() -> list[int]:
            try:
                return await self._by_server(self._save_checkpoint, keys, args_of)
            except KeysElsewhere:
                # Slots are moving. A call that declares its only key gets to where it is.
                calls = [([key], args_of([at])) for at, key in enumerate(keys)]
                return await self._client.ask_scripts(self._save_checkpoint, calls)

        return not any(await self._client.call("checkpoint", run))

    async def save_all_checkpoints(
        self, positions: Mapping[int, int], groups: Collection[int] | None = None
    ) -> bool:
        commands = [
            (
                b"MSETNX",
                *flatten(
                    (self._checkpoint_key(group, partition), b"%d" % position)
                    for partition, position in positions.items()
                ),
            )
            for group in self._chosen(groups)
        ]
        return all(await self._client.call("checkpoint", self._client.ask_together, commands))

    async def verified(self) -> bool:
        async def run(name: NameOf) -> list[int]:
            commands = [await self._verified_command(name, group) for group in self._all_groups]
            return cast(list[int], await self._client.ask_together(commands))

        return self.are_verified(min(await self._client.call_in_incarnation("verified", run)))

    async def verified_command(self, name: NameOf, owner: UserId) -> Command:
        """Return the command whose reply `are_verified` takes, for the server of the owner's timeline."""
        return await self._verified_command(name, self._groups.of(owner))

    async def _verified_command(self, name: NameOf, group: int) -> Command:
        return b"HLEN", await name(self._verified, self._groups.texts[group])

    def are_verified(self, partitions: int) -> bool:
        return partitions >= self._fanout_partitions

    async def confirm(self, expected: Mapping[int, int], groups: Collection[int] | None = None) -> set[int]:
        partitions, chosen = sorted(expected), list(self._chosen(groups))

        def args_of(group: int, verified: bytes) -> list[bytes]:
            values = (
                (self._checkpoint_key(group, partition), b"%d" % partition, b"%d" % expected[partition])
                for partition in partitions
            )
            return [verified, b"%d" % len(partitions), *flatten(values)]

        async def run(name: NameOf) -> list[list[bytes]]:
            names = [await name(self._verified, self._groups.texts[group]) for group in chosen]

            def args_of_groups(indexes: Iterable[int]) -> list[bytes]:
                return [*flatten(args_of(chosen[at], names[at]) for at in indexes)]

            try:
                return await self._by_server(self._confirm, names, args_of_groups)
            except KeysElsewhere:
                # Groups whose slots are moving are left out: their keys are on two servers.
                return await self._each_where_possible(
                    self._confirm, [(key, args_of_groups([at])) for at, key in enumerate(names)]
                )

        moved = await self._client.call_in_incarnation("confirm", run)
        return {int(partition) for partition in flatten(moved)}

    async def _on_owners(self, script: Script, parts: Sequence[_Part]) -> list[Any]:
        """Call a script whose arguments are, in turns: a prefix, the arguments of a part, and owners."""
        prefixes = [self._prefixes[group] for group, _, _ in parts]

        def args_of(indexes: Iterable[int]) -> list[bytes]:
            return [*flatten((prefixes[at], *parts[at][1], parts[at][2]) for at in indexes)]

        try:
            return await self._by_server(script, prefixes, args_of)
        except KeysElsewhere:
            # A slot is moving, and some of its timelines are there already. A call that declares its only
            # timeline gets to it.
            calls = [
                ([self._prefixes[group] + owner], [self._prefixes[group], *args, owner])
                for group, args, owners in parts
                for owner in sliced(owners, ID_BYTES)
            ]
            return await self._client.ask_scripts(script, calls)

    async def _by_server(
        self, script: Script, keys: Sequence[bytes], args_of: Callable[[Sequence[int]], Sequence[bytes]]
    ) -> list[Any]:
        """Call a script once for each server, with the arguments for those of the keys that it has.

        Raises:
            KeysElsewhere: Slots have moved meanwhile, or are moving. Some of the calls may have been made.
        """
        calls = [(keys[indexes[0]], args_of(indexes)) for indexes in await self._client.by_server(keys)]
        return await self._client.ask_scripts_at(script, calls)

    async def _each_where_possible(
        self, script: Script, calls: Sequence[tuple[bytes, Sequence[bytes]]]
    ) -> list[Any]:
        """Call a script for each key by itself; return the replies without those of `KeysElsewhere`."""
        asked = (self._client.ask_scripts_at(script, [call]) for call in calls)
        replies = []
        for reply in await asyncio.gather(*asked, return_exceptions=True):
            if isinstance(reply, BaseException) and not isinstance(reply, KeysElsewhere):
                raise reply
            replies += reply if isinstance(reply, list) else []
        return replies

    async def _lowest_of_server(self, groups: Sequence[int], partitions: Sequence[int]) -> dict[int, int]:
        """Return the lowest checkpoints that groups of one server have; see `checkpoints`."""
        texts = [b"%d" % partition for partition in partitions]
        args = [
            self._checkpoints,
            b"%d" % len(texts),
            *texts,
            *(self._groups.tags[group] for group in groups),
        ]
        call = (self._prefixes[groups[0]], args)
        try:
            [replies] = await self._client.call(
                "checkpoints", self._client.ask_scripts_at, self._lowest, [call]
            )
        except KeysElsewhere:  # Slots are moving.
            return lowest_of(await self._checkpoints_of(groups, partitions))
        return {
            partition: int(reply)
            for partition, reply in zip(partitions, replies, strict=True)
            if reply != b""
        }

    async def _checkpoints_of(self, groups: Iterable[int], partitions: Sequence[int]) -> list[dict[int, int]]:
        # One by one, because a server does not read several keys of a slot that is moving.
        wanted = [(group, partition) for group in groups for partition in partitions]
        commands = [(b"GET", self._checkpoint_key(*each)) for each in wanted]
        values = await self._client.call("checkpoints", self._client.ask_together, commands)
        checkpoints: dict[int, dict[int, int]] = {group: {} for group in groups}
        for (group, partition), value in zip(wanted, values, strict=True):
            if value is not None:
                checkpoints[group][partition] = int(value)
        return list(checkpoints.values())

    def _chosen(self, groups: Collection[int] | None) -> Collection[int]:
        return self._all_groups if groups is None else groups

    def _by_group(self, owners: PackedIds) -> Iterable[tuple[int, PackedIds]]:
        if len(self._all_groups) == 1:
            return [(0, owners)]
        by_group: dict[int, list[bytes]] = defaultdict(list)
        for owner in sliced(owners, ID_BYTES):
            by_group[self._groups.of(unpack_id(owner))].append(owner)
        return [(group, PackedIds(b"".join(members))) for group, members in by_group.items()]

    def _begun(self, token: bytes) -> bytes:
        """Return the timeline of a rebuild that has just begun."""
        return ring.lay_out((), slots=self._slots, floor=0, version=0, token=token)

    def _key(self, owner: UserId) -> bytes:
        return self._prefixes[self._groups.of(owner)] + pack_id(owner)

    def _checkpoint_key(self, group: int, partition: int) -> bytes:
        return b"%b%b%d" % (self._checkpoints, self._groups.tags[group], partition)
