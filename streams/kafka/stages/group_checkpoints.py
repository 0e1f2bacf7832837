"""Leave out the groups of timelines whose server does not respond, and catch up with them from the log.

In a Redis Cluster one server that is away or slow must not delay the posts of the others' readers. So a batch
of the normal lane is committed when the servers that respond have it. The other groups are *behind*: their
checkpoint stays where it is, in Redis, beside their timelines. It says so to readers, whose pages are not
complete, and to the next worker, if this one dies. Batches leave a group out until it has caught up.

To catch up, the records from its checkpoint on are applied again, to the groups that are behind alone. Most
of that is done beside the batches, and the rest between two batches, under the partition's lock. If a group
lost its checkpoints, or the log no longer has the records, its timelines are forgotten, as in
`redis_checkpoints.py`.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import TypeVar

from schemas.envelope import Record
from streams.errors import StoreUnavailable
from streams.kafka.consuming.waiting import PartitionRevoked, retry_until_available
from streams.kafka.stages.group_applier import GroupApplier
from streams.kafka.stages.redis_checkpoints import LaneCheckpoints
from streams.metrics import GROUPS_BEHIND, REPAIRED_RECORDS, REPAIRS
from streams.polling import poll

CATCH_UP_S = 1.0
# So many offsets may be left when a group catches up under the lock, for which batches wait.
REST_MAX = 64
REST_S_MAX = 2.0
STORE = "redis"
T = TypeVar("T")
log = logging.getLogger(__name__)

# The checkpoint of one partition by group, or None.
Stored = Mapping[int, int | None]


@dataclass(slots=True, kw_only=True)
class GroupCheckpoints(LaneCheckpoints):
    """The checkpoints of the normal lane in a cluster. Batches wait for a server for `wait_s` at most."""

    applier: GroupApplier
    wait_s: float
    # The groups of each partition that are not known to be at its position.
    _behind: dict[int, set[int]] = field(default_factory=dict, init=False)

    def behind(self, partition: int) -> frozenset[int]:
        """Return the groups that batches of the partition leave out."""
        return frozenset(self._behind.get(partition, ()))

    def is_verified(self) -> bool:
        return self.owned() <= self._positions.keys() and not any(self._behind.values())

    async def handle(self, records: Sequence[Record], is_assigned: Callable[[], bool]) -> None:
        partition, end = records[0].partition, records[-1].offset + 1
        async with self.lock(partition):
            await retry_until_available(
                self.retry, lambda: self._ensure(partition, records[0].offset), is_assigned=is_assigned
            )
            left_out = await self.applier.apply(records, is_assigned, self.behind(partition))
            self._leave_out(partition, left_out)
            await self._advance(partition, end)

    async def watch_once(self) -> None:
        owned = self.owned()
        for partition in self._positions.keys() - owned:
            if not self.lock(partition).locked():  # Another worker owns this partition now.
                del self._positions[partition]
                self._behind.pop(partition, None)
                self._count_behind()
        for partition in sorted(owned - self._positions.keys()):
            if not self.lock(partition).locked():  # Otherwise its first batch looks.
                async with self.lock(partition):
                    committed = await self.offsets.committed(self.group, self.topic, [partition])
                    await self._look(partition, committed.get(partition, 0))
        expected = {partition: self._positions[partition] for partition in owned & self._positions.keys()}

        async def confirm(groups: Collection[int]) -> set[int]:
            return await self.timelines.confirm(expected, groups)

        behind = {group for groups in self._behind.values() for group in groups}
        for groups, moved in await self._by_server(confirm, without=behind):
            for partition in sorted(moved or ()):
                if not self.lock(partition).locked():  # Otherwise a batch is moving the checkpoint.
                    async with self.lock(partition):
                        await self._compare(partition, groups)

    async def catch_up(self) -> None:
        """Catch up with the groups that are behind; runs until cancelled."""
        await poll(self.catch_up_once, CATCH_UP_S, log=log, failure="groups of timelines are still behind")

    async def catch_up_once(self) -> None:
        """Apply what groups that respond lack.

        Raises:
            StoreUnavailable: Some groups are still behind; call this again.
        """
        failure: StoreUnavailable | None = None
        for partition in [partition for partition, groups in self._behind.items() if groups]:
            try:
                await self._catch_up(partition)
            except StoreUnavailable as error:
                failure = error
            except PartitionRevoked:
                pass
        if failure is not None:
            raise failure

    async def _ensure(self, partition: int, position: int) -> None:
        """Return when groups are known that have every record below `position`; the caller holds the lock."""
        # Another worker may have had the partition, and have left groups out, if records are missing between
        # what this process knows and the batch.
        if self._positions.get(partition, -1) < position:
            await self._look(partition, position)
        if await self._are_all_behind(partition):  # Nobody has what is to be committed, so it waits.
            await self._restore(partition, is_locked=True)
            if await self._are_all_behind(partition):
                raise StoreUnavailable(STORE, "checkpoint", "no group of timelines is up to date")

    async def _advance(self, partition: int, position: int) -> None:
        """Store the checkpoint `position` in the groups that have all records below; the others are behind.

        A save that fails is not repeated: its server may have lost meanwhile what was applied.
        """
        known = self._positions[partition]
        if known >= position:
            return  # The batch was delivered again; these groups have this checkpoint or a later one.

        async def save(groups: Collection[int]) -> bool:
            return await self.timelines.save_checkpoint(partition, position, expected=known, groups=groups)

        saved = await self._by_server(save, without=self.behind(partition))
        self._positions[partition] = position
        self._leave_out(partition, {group for groups, is_saved in saved if not is_saved for group in groups})

    async def _look(self, partition: int, position: int) -> None:
        """Learn which groups are at the position of the partition; the caller holds the lock.

        Raises:
            StoreUnavailable: No server responded in time.
        """
        stored = await self._stored(partition, await self._all_groups())
        if not stored:
            raise StoreUnavailable(STORE, "checkpoint", "no server responded in time")
        # A worker may have died after it stored the checkpoint of some groups, and before the commit.
        position = max(position, *(checkpoint or 0 for checkpoint in stored.values()))
        self._positions[partition] = position
        at_it = {group for group, checkpoint in stored.items() if checkpoint == position}
        self._behind[partition] = set()
        self._leave_out(partition, await self._all_groups() - at_it)
        self._count_behind()
        await self._by_server(
            lambda groups: self.timelines.confirm({partition: position}, groups),
            without=self.behind(partition),
        )

    async def _compare(self, partition: int, groups: Collection[int]) -> None:
        """Leave out those of the groups that are not at the position; the caller holds the lock."""
        stored, position = await self._stored(partition, groups), self._positions[partition]
        self._leave_out(partition, {group for group in groups if stored.get(group) != position})

    async def _catch_up(self, partition: int) -> None:
        position = await self._restore(partition, is_locked=False)
        while position is not None and self._positions.get(partition, 0) - position > REST_MAX:
            position = await self._restore(partition, is_locked=False)
        if position is None:
            return
        try:
            # Also for the lock: a batch that waits has it, and other partitions are to be caught up with.
            async with asyncio.timeout(REST_S_MAX), self.lock(partition):
                await self._restore(partition, is_locked=True)
        except TimeoutError as error:
            raise StoreUnavailable(STORE, "catch up", f"not within {REST_S_MAX:g} s") from error

    async def _restore(self, partition: int, *, is_locked: bool) -> int | None:
        """Bring the groups that are behind, and respond, to the position that the partition has now.

        Returns this position; None if no group responded. Only if no batch can have moved the position
        meanwhile, because the caller holds the lock, the groups are no longer behind.
        """
        behind, position = self.behind(partition), self._positions.get(partition)
        stored = await self._stored(partition, behind) if behind else {}
        if position is None or not stored:
            return None
        if new := await self._new_of([group for group, checkpoint in stored.items() if checkpoint is None]):
            await self._start_over(new, "flushed")
            stored = await self._stored(partition, stored.keys())
        begin = min(await self._begin(partition), position)
        lost = {group for group, checkpoint in stored.items() if checkpoint is None or checkpoint < begin}
        if lost:
            await self._start_over(lost, "log_too_short")
        older = {
            group: checkpoint
            for group, checkpoint in stored.items()
            if group not in lost and checkpoint is not None and checkpoint < position
        }
        if older:
            await self._apply_again(partition, min(older.values()), position, older.keys())
        await self._move(partition, stored, position)
        if is_locked:
            await self.timelines.confirm({partition: position}, list(stored))
            self._behind[partition] -= stored.keys()
            self._count_behind()
        return position

    async def _new_of(self, groups: Collection[int]) -> list[int]:
        """Return those of the groups that have no checkpoint of any partition."""
        by_group = await self.timelines.checkpoints_by_group(self._partitions(), groups) if groups else ()
        return [group for group, checkpoints in zip(groups, by_group, strict=True) if not checkpoints]

    async def _move(self, partition: int, stored: Stored, position: int) -> None:
        """Store the position as the checkpoint of groups that still have the lower one that was read."""
        for checkpoint in set(stored.values()):
            if checkpoint is not None and checkpoint >= position:
                continue  # Another worker may have moved it further meanwhile.
            groups = [group for group in stored if stored[group] == checkpoint]
            if not await self.timelines.save_checkpoint(
                partition, position, expected=checkpoint, groups=groups
            ):
                raise StoreUnavailable(STORE, "checkpoint", f"that of partition {partition} moved meanwhile")

    async def _apply_again(self, partition: int, begin: int, end: int, groups: Collection[int]) -> None:
        log.warning(
            "%d groups of timelines were behind: applying fanout/%d from offset %d to %d again",
            len(groups),
            partition,
            begin,
            end,
        )

        def is_owned() -> bool:
            return partition in self.owned()

        async with aclosing(self.records.read(partition, begin, end)) as batches:
            async for batch in batches:
                if not is_owned():
                    raise PartitionRevoked
                await self.applier.apply_again(batch, is_owned, groups)
                REPAIRED_RECORDS.inc(len(batch))
        REPAIRS.labels("repaired").inc()

    async def _stored(self, partition: int, groups: Collection[int]) -> Stored:
        """Return the checkpoints of those of the groups whose server responds in time."""

        async def read(chosen: Collection[int]) -> Stored:
            by_group = await self.timelines.checkpoints_by_group([partition], chosen)
            return {group: stored.get(partition) for group, stored in zip(chosen, by_group, strict=True)}

        results = await self._by_server(read, without=await self._all_groups() - set(groups))
        return {group: stored for _, by_group in results for group, stored in (by_group or {}).items()}

    async def _by_server(
        self, call: Callable[[Collection[int]], Awaitable[T]], *, without: Collection[int]
    ) -> list[tuple[Collection[int], T | None]]:
        """Call a function for the groups of each server; None is of one that did not respond in time."""

        async def in_time(groups: Collection[int]) -> T | None:
            try:
                async with asyncio.timeout(self.wait_s):
                    return await call(groups)
            except (StoreUnavailable, TimeoutError) as error:
                log.debug("a server of timelines did not respond in time: %r", error)
                return None

        servers = [
            groups
            for of_server in await self.timelines.groups_by_server()
            if (groups := [group for group in of_server if group not in without])
        ]
        return list(zip(servers, await asyncio.gather(*map(in_time, servers)), strict=True))

    async def _all_groups(self) -> set[int]:
        return {group for groups in await self.timelines.groups_by_server() for group in groups}

    async def _are_all_behind(self, partition: int) -> bool:
        return self._behind[partition] >= await self._all_groups()

    def _leave_out(self, partition: int, groups: Collection[int]) -> None:
        behind = self._behind.setdefault(partition, set())
        if new := set(groups) - behind:
            log.warning("fanout/%d: %d groups of timelines are left out for now", partition, len(new))
            behind |= new
            self._count_behind()

    def _count_behind(self) -> None:
        GROUPS_BEHIND.set(len({group for groups in self._behind.values() for group in groups}))
