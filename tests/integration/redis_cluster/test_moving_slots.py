"""Slots that move while timelines are written and read: nothing is lost, and nothing old is read."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from random import Random
from typing import Any
from uuid import uuid4

import pytest
from redis import Redis
from redis.crc import key_slot

from schemas.ids import PackedIds, PhotoId, UserId, compose_id, pack_id, pack_ids, unpack_ids
from streams.clock import unix_ms
from streams.core import ring
from streams.ports.groups import Stores
from streams.ports.timelines import PhotosForOwners
from streams.stores.redis.groups import groups_of
from tests.integration.redis_cluster.conftest import Cluster
from tests.integration.redis_cluster.test_contracts import cluster_stores

OWNERS = [UserId(number) for number in range(1, 2_001)]
SLOTS = 600
PHOTOS_MIN, PHOTOS_MAX = 50, 500
POST_EVERY_S = 0.1
MOVED = range(1_000)
KEYS_A_MOVE = 3  # So that slots are on two servers for a while.
TOKEN = b"12345678"


@pytest.fixture
def namespace() -> str:
    return f"t{uuid4().hex[:8]}."


@pytest.fixture
async def stores(cluster: Cluster, namespace: str) -> AsyncIterator[Stores]:
    async with cluster_stores(cluster, namespace, timeline_slots=SLOTS) as made:
        yield made


@dataclass(frozen=True)
class Primary:
    """A primary, and a connection to it: a new one for each command would take most of a move's time."""

    port: int
    client: Any
    id: str


@pytest.fixture
def primaries(cluster: Cluster) -> Iterator[list[Primary]]:
    with ExitStack() as closing:
        clients = [
            (server.port, closing.enter_context(Redis(port=server.port))) for server in cluster.primaries
        ]
        yield [Primary(port, client, client.cluster("MYID")) for port, client in clients]


def begin_to_move(slot: int, source: Primary, target: Primary) -> None:
    target.client.cluster("SETSLOT", slot, "IMPORTING", source.id)
    source.client.cluster("SETSLOT", slot, "MIGRATING", target.id)


def move_keys(slot: int, source: Primary, target: Primary, count: int) -> int:
    """Move some keys of the slot; returns how many."""
    # As two words, so that redis-py does not decode the keys.
    keys = source.client.execute_command("CLUSTER", "GETKEYSINSLOT", slot, count)
    if keys:
        source.client.execute_command("MIGRATE", "127.0.0.1", target.port, "", 0, 5_000, "KEYS", *keys)
    return len(keys)


def end_move(slot: int, source: Primary, target: Primary) -> None:
    for server in (target, source):
        server.client.cluster("SETSLOT", slot, "NODE", target.id)


def move_slot(slot: int, source: Primary, target: Primary) -> None:
    """Move a slot as `redis-cli --cluster reshard` does, a few keys at a time."""
    begin_to_move(slot, source, target)
    while move_keys(slot, source, target, KEYS_A_MOVE):
        pass
    end_move(slot, source, target)


@dataclass(slots=True)
class Traffic:
    """Appends, reads, and a cache, until `is_over`; raises as soon as something is lost or old."""

    stores: Stores
    is_over: Callable[[], bool]
    random: Random = field(default_factory=lambda: Random(7))
    appended: list[PhotoId] = field(default_factory=list)
    reads: int = 0
    cached: int = 0

    async def append(self) -> None:
        # A timeline keeps all of them.
        while (number := len(self.appended)) < PHOTOS_MIN or (not self.is_over() and number < PHOTOS_MAX):
            photo = PhotoId(compose_id(unix_ms(), 1, number))
            for at in range(0, len(OWNERS), 500):
                owners = PackedIds(pack_ids(OWNERS[at : at + 500]))
                assert await self.stores.timelines.append([PhotosForOwners((photo,), owners)]) == 500
            self.appended.append(photo)
            await asyncio.sleep(POST_EVERY_S)

    async def read(self) -> None:
        while not self.is_over() or self.reads < 2_000:
            owner, expected = self.random.choice(OWNERS), set(self.appended)
            start = await self.stores.page_starts.read((), owner)
            assert start.timeline is not None
            assert expected <= ring.parse(start.timeline).ids
            self.reads += 1

    async def change_cache(self) -> None:
        while not self.is_over():
            keys = [b"s" + pack_id(self.random.randrange(1 << 40)) for _ in range(20)]
            values = {key: pack_id(self.cached) for key in keys}
            await self.stores.cache.fill(await self.stores.cache.lease(keys), values, 60)
            for key, value in zip(keys, await self.stores.cache.get(keys), strict=True):
                assert value in (None, values[key])
            await self.stores.cache.invalidate(keys)
            assert await self.stores.cache.get(keys) == [None] * len(keys)
            self.cached += 1


async def ids_of(stores: Stores, owners: Sequence[UserId]) -> set[frozenset[int]]:
    """Return the different sets of photos that their timelines have."""
    values = [await stores.timelines.read(owner) for owner in owners]
    return {ring.parse(value).ids for value in values if value is not None}


@pytest.mark.law("L8")
async def test_slots_move_under_load(primaries: list[Primary], stores: Stores) -> None:
    """At least 100,000 deliveries and 2,000 reads, while 1,000 slots move from one server to another."""
    for owner in OWNERS:
        assert await stores.timelines.begin_rebuild(owner, TOKEN)
        assert await stores.timelines.finish_rebuild(owner, TOKEN, [], 0)
    source, target, _ = primaries

    def move() -> None:
        for slot in MOVED:
            move_slot(slot, source, target)

    moving = asyncio.create_task(asyncio.to_thread(move))
    traffic = Traffic(stores, moving.done)
    async with asyncio.timeout(180):
        await asyncio.gather(moving, traffic.append(), traffic.read(), traffic.change_cache())

    assert await ids_of(stores, OWNERS) == {frozenset(traffic.appended)}
    assert len(await stores.timelines.existing(PackedIds(pack_ids(OWNERS[:1_000])))) == 8_000


GROUP = 5
IN_GROUP = [UserId(number) for number in range(1, 20_000) if groups_of(is_cluster=True).of(number) == GROUP]


@pytest.mark.law("L8")
async def test_a_slot_is_half_moved(primaries: list[Primary], stores: Stores) -> None:
    """Some timelines of a group are on one server, some on the other. Each call finds all of them."""
    timelines, slot = stores.timelines, key_slot(groups_of(is_cluster=True).texts[GROUP])
    source, target = _server_of(primaries, slot), primaries[2]
    *owners, new, never = IN_GROUP
    for owner in owners:
        assert await timelines.begin_rebuild(owner, TOKEN)
        assert await timelines.finish_rebuild(owner, TOKEN, [], 0)
    assert await timelines.save_all_checkpoints(dict.fromkeys(range(8), 5))
    begin_to_move(slot, source, target)
    moved = move_keys(slot, source, target, len(owners) // 2)
    assert 20 < moved < len(owners)

    put = PhotosForOwners((PhotoId(7),), PackedIds(pack_ids([*OWNERS[:50], *IN_GROUP])))
    assert await timelines.append([put]) == len(owners)
    assert await timelines.insert(PackedIds(pack_ids(IN_GROUP)), [PhotoId(3)]) == len(owners)
    existing = await timelines.existing(PackedIds(pack_ids(IN_GROUP)))
    assert sorted(unpack_ids(existing)) == owners
    assert await ids_of(stores, owners) == {frozenset([3, 7])}
    assert await timelines.begin_rebuild(new, TOKEN)
    assert await timelines.finish_rebuild(new, TOKEN, [PhotoId(7), PhotoId(3)], 0)
    assert await timelines.read(never) is None
    assert await timelines.save_checkpoint(0, 6, expected=5)
    assert not await timelines.save_checkpoint(0, 7, expected=5)
    assert await timelines.checkpoints_by_group(range(8)) == [{0: 6, **dict.fromkeys(range(1, 8), 5)}] * 256
    assert await timelines.confirm({0: 6, 1: 5}) == set()
    assert await timelines.confirm({2: 4}) == {2}

    while move_keys(slot, source, target, KEYS_A_MOVE):
        pass
    end_move(slot, source, target)
    assert await ids_of(stores, [*owners, new]) == {frozenset([3, 7])}
    assert await timelines.checkpoints_by_group([0]) == [{0: 6}] * 256
    assert await timelines.confirm({0: 6}) == set()
    assert await timelines.forget_all([GROUP]) == len(owners) + 1


@pytest.mark.law("L2")
async def test_a_value_that_was_invalidated_where_its_slot_is_now_is_not_read(
    cluster: Cluster, primaries: list[Primary], stores: Stores, namespace: str
) -> None:
    """A process that has not heard of the move asks where it was, also after the slot is back."""
    key = b"s" + pack_id(1)
    slot, source, target = _ends_of_move(primaries, namespace.encode() + b"z" + key)
    for returns in (False, True):
        await stores.cache.invalidate([key])
        await stores.cache.fill(await stores.cache.lease([key]), {key: b"old"}, 60)
        assert await stores.cache.get([key]) == [b"old"]
        move_slot(slot, source, target)

        async with cluster_stores(cluster, namespace) as informed:
            await informed.cache.invalidate([key])
        if returns:
            move_slot(slot, target, source)

        assert await stores.cache.get([key]) == [None]
        await stores.cache.fill(await stores.cache.lease([key]), {key: b"new"}, 60)
        assert await stores.cache.get([key]) == [b"new"]
        if not returns:
            move_slot(slot, target, source)


@pytest.mark.law("L2")
async def test_a_value_that_has_moved_is_not_read_and_is_replaced(
    primaries: list[Primary], stores: Stores, namespace: str
) -> None:
    """It is of the incarnation of another server, and may be older than an invalidation."""
    key = b"s" + pack_id(2)
    slot, source, target = _ends_of_move(primaries, namespace.encode() + b"z" + key)
    await stores.cache.fill(await stores.cache.lease([key]), {key: b"old"}, 60)
    leased = await stores.cache.lease([key])
    move_slot(slot, source, target)

    assert await stores.cache.get([key]) == [None]
    await stores.cache.fill(leased, {key: b"old"}, 60)
    assert await stores.cache.get([key]) == [None]
    await stores.cache.fill(await stores.cache.lease([key]), {key: b"new"}, 60)
    assert await stores.cache.get([key]) == [b"new"]


def _ends_of_move(primaries: Sequence[Primary], key: bytes) -> tuple[int, Primary, Primary]:
    """Return a key's slot, the primary that has it, and another primary."""
    slot = key_slot(key)
    source = _server_of(primaries, slot)
    return slot, source, next(primary for primary in primaries if primary is not source)


def _server_of(primaries: Sequence[Primary], slot: int) -> Primary:
    """Return the primary that has the slot."""
    for primary in primaries:
        if slot in _slots_of(primary.client.cluster("NODES"), f"127.0.0.1:{primary.port}"):
            return primary
    raise AssertionError(f"no server has slot {slot}")


def _slots_of(nodes: Mapping[str, Any], address: str) -> set[int]:
    ranges = [tuple(map(int, bounds)) for bounds in nodes[address]["slots"]]
    return {slot for first, *last in ranges for slot in range(first, (last or [first])[0] + 1)}
