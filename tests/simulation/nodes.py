"""Timelines on two servers, each of which may be away, stand still, lose all or come back older at any step.

Two workers apply the normal lane with the real code. One has the partition, and the other one may not know
yet that it has lost it. A worker may be killed at any call of a store. `World.read` says what readers may
see.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Collection, Coroutine, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from schemas.envelope import Record
from schemas.ids import PackedIds, PhotoId, UserId, compose_id, unpack_ids
from schemas.internal import Backfill, EdgeRecord, FanoutPosts, FanoutRecord, SetKind, encode_fanout
from streams.core import ring
from streams.core.checkpoints import group_of
from streams.core.delivery_age import DeliveryAge, Moment
from streams.edges.counting import SetWriter
from streams.errors import StoreUnavailable
from streams.kafka.consuming.waiting import PartitionRevoked
from streams.kafka.stages.fanout_log import RecordLog
from streams.kafka.stages.group_applier import GroupApplier
from streams.kafka.stages.group_checkpoints import GroupCheckpoints
from streams.ports.groups import Stores
from streams.ports.timelines import PhotosForOwners
from streams.settings import FanoutSettings, RetrySettings
from streams.stores.memory.stores import memory_stores
from streams.stores.memory.timelines import MemoryTimelines
from streams.timelines.fanout import owners_of_groups
from tests.worlds.flaky_stores import FlakyStores, KillAt, Killed
from tests.worlds.kafka import FakeOffsets
from tests.worlds.renditions import Log as Outbox

NOW_MS = 1_800_000_000_000
SERVERS = ((0, 1), (2, 3))
GROUPS = 4
AUTHOR, NEW_AUTHOR = UserId(2), UserId(3)
READERS = tuple(UserId(number) for number in range(10, 22))
TOPIC, GROUP, PARTITION = "fanout", "fanout-normal", 0
READY_S_MAX = 5.0
TOKEN = b"12345678"
Step = tuple[str, int, int]


class NodesTimelines(MemoryTimelines):
    """The twin in groups on two servers. A server that is stopped executes what it got when it goes on."""

    def __init__(self) -> None:
        super().__init__(
            lambda: NOW_MS,
            slots=600,
            ttl_s=10**6,
            renew_s=1,
            rebuild_ttl_ms=10**9,
            fanout_partitions=1,
            groups=GROUPS,
        )
        self.away: set[int] = set()
        self.stopped: set[int] = set()
        self.hangs: set[int] = set()  # No reply, no failure: who does not wait for ever goes on.
        self.fails_next: set[int] = set()  # The next call is executed, and its reply is lost.
        self.drops_next: set[int] = set()  # The next call does not arrive.
        self.asked: set[int] = set()
        self.pending: list[tuple[int, Callable[[], Coroutine[Any, Any, object]]]] = []
        self.saved: dict[int, Any] = {}

    async def groups_by_server(self) -> Sequence[Sequence[int]]:
        return SERVERS

    def responds(self, server: int) -> bool:
        return server not in self.away | self.stopped

    async def go_on(self, server: int) -> None:
        self.stopped.discard(server)
        pending, self.pending = self.pending, []
        for of_server, call in pending:
            if of_server == server:
                await call()
            else:
                self.pending.append((of_server, call))

    def save(self, server: int) -> None:
        """Remember what the server has, as its replica or its file does."""
        self.saved[server] = deepcopy(
            (
                {owner: value for owner, value in self._rings.items() if self._is_on(server, owner)},
                {group: self._checkpoints[group] for group in SERVERS[server]},
            )
        )

    def come_back_older(self, server: int) -> None:
        """Replace the server by what was remembered, or else by an empty one; what it was sent is gone."""
        for group in SERVERS[server]:
            self.lose(group)
        rings, checkpoints = deepcopy(self.saved.get(server, ({}, {})))
        self._rings |= rings
        for group, stored in checkpoints.items():
            self._checkpoints[group].update(stored)
        self.away.discard(server)
        self.stopped.discard(server)
        self.pending = [each for each in self.pending if each[0] != server]

    def _is_on(self, server: int, owner: UserId) -> bool:
        return self.group_of(owner) in SERVERS[server]

    async def _on(
        self, groups: Collection[int], call: Callable[[Collection[int]], Coroutine[Any, Any, Any]]
    ) -> list[Any]:
        """Return the results of the servers of the groups; all run, and then the first failure counts."""
        results, failed = [], False
        for server, of_server in enumerate(SERVERS):
            chosen = [group for group in groups if group in of_server]
            if not chosen:
                continue
            self.asked.add(server)
            if server in self.hangs:
                await asyncio.Event().wait()
            if server in self.away or server in self.drops_next:
                self.drops_next.discard(server)
                failed = True
            elif server in self.stopped:
                self.pending.append((server, partial(call, chosen)))
                failed = True
            else:
                results.append(await call(chosen))
                failed = failed or server in self.fails_next
                self.fails_next.discard(server)
        if failed:
            raise StoreUnavailable("redis", "call", "a server does not respond")
        return results

    def _groups_of(self, owners: PackedIds) -> set[int]:
        return {self.group_of(UserId(owner)) for owner in unpack_ids(owners)}

    def _among(self, owners: PackedIds, groups: Collection[int]) -> PackedIds:
        return owners_of_groups(owners, groups, GROUPS)

    async def append(self, puts: Sequence[PhotosForOwners]) -> int:
        def on(groups: Collection[int]) -> Coroutine[Any, Any, int]:
            return MemoryTimelines.append(
                self, [PhotosForOwners(put.photos, self._among(put.owners, groups)) for put in puts]
            )

        return sum(await self._on({group for put in puts for group in self._groups_of(put.owners)}, on))

    async def insert(self, owners: PackedIds, photos: Sequence[PhotoId]) -> int:
        def on(groups: Collection[int]) -> Coroutine[Any, Any, int]:
            return MemoryTimelines.insert(self, self._among(owners, groups), photos)

        return sum(await self._on(self._groups_of(owners), on))

    async def merge(self, owner: UserId, photos: Sequence[PhotoId]) -> bool:
        merge = super().merge
        return bool((await self._on([self.group_of(owner)], lambda _: merge(owner, photos)))[0])

    async def existing(self, owners: PackedIds) -> PackedIds:
        def on(groups: Collection[int]) -> Coroutine[Any, Any, PackedIds]:
            return MemoryTimelines.existing(self, self._among(owners, groups))

        return PackedIds(b"".join(await self._on(self._groups_of(owners), on)))

    async def read(self, owner: UserId) -> bytes | None:
        read = super().read
        value: bytes | None = (await self._on([self.group_of(owner)], lambda _: read(owner)))[0]
        return value

    async def begin_rebuild(self, owner: UserId, token: bytes) -> bool:
        begin = super().begin_rebuild
        return bool((await self._on([self.group_of(owner)], lambda _: begin(owner, token)))[0])

    async def finish_rebuild(
        self, owner: UserId, token: bytes, photos: Sequence[PhotoId], floor: int
    ) -> bool:
        finish = super().finish_rebuild
        group = self.group_of(owner)
        return bool((await self._on([group], lambda _: finish(owner, token, photos, floor)))[0])

    async def forget_all(self, groups: Collection[int] | None = None) -> int:
        return sum(await self._on(self._chosen(groups), super().forget_all))

    async def checkpoints_by_server(
        self, partitions: Sequence[int]
    ) -> Sequence[tuple[Sequence[int], Mapping[int, int] | None]]:
        return [
            (
                groups,
                {PARTITION: min(self._checkpoints[group].get(PARTITION, 0) for group in groups)}
                if self.responds(server)
                else None,
            )
            for server, groups in enumerate(SERVERS)
        ]

    async def checkpoints_by_group(
        self, partitions: Sequence[int], groups: Collection[int] | None = None
    ) -> list[dict[int, int]]:
        read = super().checkpoints_by_group
        results = await self._on(self._chosen(groups), lambda chosen: read(partitions, chosen))
        return [stored for some in results for stored in some]

    async def save_checkpoint(
        self, partition: int, position: int, *, expected: int | None, groups: Collection[int] | None = None
    ) -> bool:
        save = super().save_checkpoint
        return all(
            await self._on(
                self._chosen(groups),
                lambda chosen: save(partition, position, expected=expected, groups=chosen),
            )
        )

    async def save_all_checkpoints(
        self, positions: Mapping[int, int], groups: Collection[int] | None = None
    ) -> bool:
        save = super().save_all_checkpoints
        return all(await self._on(self._chosen(groups), lambda chosen: save(positions, chosen)))

    async def confirm(self, expected: Mapping[int, int], groups: Collection[int] | None = None) -> set[int]:
        confirm = super().confirm
        moved = await self._on(self._chosen(groups), lambda chosen: confirm(expected, chosen))
        return {partition for some in moved for partition in some}

    def is_verified_in(self, group: int) -> bool:
        return PARTITION in self._verified[group]


@dataclass(slots=True)
class Log(RecordLog):
    """The one log; `begin` is where it begins now."""

    records: list[Record] = field(default_factory=list)
    begin: int = 0

    async def read(self, partition: int, begin: int, end: int) -> AsyncGenerator[Sequence[Record], None]:
        if begin < self.begin:
            raise StoreUnavailable("kafka", "repair", "the log does not have it any more")
        for first in range(begin, end, 3):
            yield self.records[first : min(first + 3, end)]


@dataclass(slots=True)
class Worker:
    """One process, and the next offset that its consumer delivers."""

    world: "World"
    next_offset: int
    checkpoints: GroupCheckpoints = field(init=False)
    dies: KillAt | None = None

    def __post_init__(self) -> None:
        flaky = FlakyStores(self.world.stores, self._at)
        retry, settings = RetrySettings(store_wait_s_max=1), self.world.settings
        applier = GroupApplier(
            settings,
            retry,
            flaky.stores,
            asyncio.Semaphore(2),
            asyncio.Semaphore(1),
            lambda: self.world.now_ms,
        )
        self.checkpoints = GroupCheckpoints(
            retry=retry,
            timelines=flaky.stores.timelines,
            offsets=self.world.offsets,
            records=self.world.log,
            topic=TOPIC,
            group=GROUP,
            groups={GROUP: range(1)},
            owned=lambda: {PARTITION},
            applier=applier,
            wait_s=self.world.settings.timelines_wait_ms_max / 1_000,
        )

    async def _at(self, moment: Any) -> None:
        if self.dies is not None:
            await self.dies(replace(moment, number=self.dies.number if self._is_due() else -1))

    def _is_due(self) -> bool:
        assert self.dies is not None
        self.world.calls_left -= 1
        return self.world.calls_left < 0


@dataclass
class World:
    """A lane of one partition, its readers, and what they know; published photos are ready at once."""

    settings: FanoutSettings = field(default_factory=FanoutSettings)
    now_ms: int = NOW_MS
    timelines: NodesTimelines = field(default_factory=NodesTimelines)
    offsets: FakeOffsets = field(default_factory=FakeOffsets)
    log: Log = field(default_factory=Log)
    published_ms: dict[PhotoId, int] = field(default_factory=dict)
    backfilled: dict[UserId, int] = field(default_factory=dict)  # When the new follow was published.
    age: DeliveryAge = field(default_factory=DeliveryAge)
    stores: Stores = field(init=False)
    workers: list[Worker] = field(init=False)
    owner: int = 0
    calls_left: int = 0
    kills: int = 0

    def __post_init__(self) -> None:
        self.stores = replace(memory_stores(clock_ms=lambda: self.now_ms), timelines=self.timelines)
        self.workers = [Worker(self, 0), Worker(self, 0)]

    async def begin(self) -> None:
        edges = [EdgeRecord(SetKind.FOLLOWERS, reader, AUTHOR, NOW_MS, removed=False) for reader in READERS]
        writer = SetWriter(
            self.stores.counted_sets,
            self.stores.cache,
            Outbox(),
            bucket_members_max=1_000,
            backfill_follows_max=10,
            generation=1,
        )
        await writer.apply(edges, 0, len(edges))
        await self.stores.author_photos.add([(PhotoId(5), NEW_AUTHOR)], ready=True)

    async def take(self, step: Step) -> None:
        name, one, two = step
        server, worker = one % 2, self.workers[one % 2]
        match name:
            case "post":
                await self.post()
            case "follow":
                self.follow(READERS[two % len(READERS)])
            case "handle":
                await self.handle(self.workers[self.owner], 1 + two)
            case "zombie":  # It has not noticed that the partition is another one's.
                await self.handle(self.workers[1 - self.owner], 1 + two)
            case "watch":
                await self.survive(worker, worker.checkpoints.watch_once())
            case "catch up":
                await self.survive(worker, worker.checkpoints.catch_up_once())
            case "rebalance":
                self.owner = 1 - self.owner
                self.workers[self.owner].next_offset = self.committed
            case "restart":
                self.workers[one % 2] = Worker(self, self.committed)
            case "kill":
                worker.dies, self.calls_left = KillAt(0, done=bool(one // 2 % 2)), two
            case "away":
                self.timelines.away.add(server)
            case "stop":
                self.timelines.stopped.add(server)
            case "lost reply":
                self.timelines.fails_next.add(server)
            case "dropped":
                self.timelines.drops_next.add(server)
            case "back":
                self.timelines.away.discard(server)
                await self.timelines.go_on(server)
            case "save":
                self.timelines.save(server)
            case "older":
                self.timelines.come_back_older(server)
            case "expire":  # The log no longer has what is committed.
                self.log.begin = self.offsets.begin_of[TOPIC, PARTITION] = self.committed
            case "poll":
                await self.poll()
            case "later":
                self.now_ms += 1_000 * two
            case "read":
                await self.read(READERS[two % len(READERS)])

    @property
    def committed(self) -> int:
        return self.offsets.commit_of.get((GROUP, TOPIC, PARTITION), 0)

    async def post(self) -> None:
        self.now_ms += 1
        photo = PhotoId(compose_id(self.now_ms, 1, 0))
        await self.stores.author_photos.add([(photo, AUTHOR)], ready=True)
        self.published_ms[photo] = self.now_ms
        self.publish(FanoutPosts(self.now_ms, ((photo, AUTHOR, 0, 0),)))

    def follow(self, reader: UserId) -> None:
        self.backfilled.setdefault(reader, self.now_ms)
        self.publish(Backfill(((reader, NEW_AUTHOR),)))

    def publish(self, message: FanoutRecord) -> None:
        offset = len(self.log.records)
        self.log.records.append(
            Record(TOPIC, PARTITION, offset, self.now_ms, None, encode_fanout(message), ())
        )
        self.offsets.end_of[TOPIC, PARTITION] = offset + 1

    async def handle(self, worker: Worker, count: int) -> None:
        records = self.log.records[worker.next_offset : worker.next_offset + count]
        # The log may have expired meanwhile, for a zombie.
        if not records or records[0].offset < self.log.begin:
            return
        if not any(self.timelines.responds(server) for server in range(2)):
            return  # The batch waits.
        lives = await self.survive(worker, worker.checkpoints.handle(records, lambda: False))
        if lives:
            worker.next_offset = records[-1].offset + 1
            if worker is self.workers[self.owner]:
                self.offsets.commit_of[GROUP, TOPIC, PARTITION] = worker.next_offset

    async def survive(self, worker: Worker, work: Coroutine[Any, Any, None]) -> bool:
        """Return whether the work was done; a worker that is killed is replaced."""
        try:
            await work
        except (StoreUnavailable, PartitionRevoked):
            return False
        except Killed:
            self.kills += 1
            self.workers[self.workers.index(worker)] = Worker(self, self.committed)
            return False
        return True

    async def poll(self) -> None:
        """What a process of the API knows, in the order in which it asks."""
        ends = {PARTITION: len(self.log.records)}
        moment = Moment(self.now_ms / 1_000, frozenset(), ends)
        self.age.observe(moment, await self.timelines.checkpoints_by_server([PARTITION]))

    async def read(self, reader: UserId) -> None:
        """Assert that a complete page has all that was published more than 5 s ago."""
        group = group_of(reader, GROUPS)
        try:
            value = await self.timelines.read(reader)
            if value is None:
                await self.rebuild(reader)
                return
        except StoreUnavailable:
            return  # The page comes from the database.
        applied, now_s = self.age.applied(group), self.now_ms / 1_000
        is_complete = (
            self.timelines.is_verified_in(group)
            and applied is not None
            and now_s - applied.at_s <= READY_S_MAX
        )
        if is_complete:
            ids = ring.parse(value).ids
            since_ms = self.now_ms - 1_000 * READY_S_MAX
            assert {photo for photo, ms in self.published_ms.items() if ms < since_ms} <= ids
            assert 5 in ids or self.backfilled.get(reader, since_ms) >= since_ms

    async def rebuild(self, reader: UserId) -> None:
        assert await self.timelines.begin_rebuild(reader, TOKEN)
        photos = [*self.published_ms, *([PhotoId(5)] if reader in self.backfilled else [])]
        await self.timelines.finish_rebuild(reader, TOKEN, photos, 0)

    async def come_to_rest(self) -> None:
        """Let all servers respond, and one worker do what is left."""
        for server in range(2):
            self.timelines.away.discard(server)
            self.timelines.fails_next.discard(server)
            self.timelines.drops_next.discard(server)
            await self.timelines.go_on(server)
        self.workers = [Worker(self, self.committed), Worker(self, self.committed)]
        for _ in range(3):
            worker = self.workers[self.owner]
            await self.handle(worker, len(self.log.records))
            await self.survive(worker, worker.checkpoints.watch_once())
            await self.survive(worker, worker.checkpoints.catch_up_once())
        await self.poll()

    async def check(self) -> None:
        """Assert that nothing is missing, nothing is behind, and every page is complete."""
        end = len(self.log.records)
        checkpoints = self.workers[self.owner].checkpoints
        assert not checkpoints.behind(PARTITION)
        assert checkpoints.is_verified()
        assert await self.timelines.checkpoints([PARTITION]) == {PARTITION: end}
        self.now_ms += 4_000
        for reader in READERS:
            assert self.timelines.is_verified_in(group_of(reader, GROUPS))
            value = await self.timelines.read(reader)
            if value is not None:
                expected = {*self.published_ms, *([5] if reader in self.backfilled else [])}
                assert ring.parse(value).ids == expected
