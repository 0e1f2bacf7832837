"""A primary is lost, and its replica takes over, which may be older."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import pytest
from redis import Redis
from redis.crc import key_slot

from bench.traffic.waiting import eventually, wait_until
from infra.local.servers.redis_cluster import SLOTS, RedisClusterServer
from schemas.envelope import Record
from schemas.ids import PackedIds, PhotoId, UserId, pack_id, pack_ids
from streams.core import ring
from streams.errors import StoreUnavailable
from streams.kafka.stages.fanout_log import RecordLog
from streams.kafka.stages.redis_checkpoints import RedisCheckpoints
from streams.ports.groups import Stores
from streams.settings import RetrySettings
from streams.stores.redis.groups import groups_of
from tests.integration.redis_cluster.conftest import PRIMARIES, Cluster
from tests.integration.redis_cluster.test_contracts import cluster_stores
from tests.worlds.kafka import LOCAL, FakeOffsets
from topics.catalogue import FANOUT

OWNERS = [UserId(number) for number in range(1, 301)]
TOPIC, GROUP = "fanout", "fanout"
TOKEN = b"12345678"


@dataclass(slots=True)
class Worker:
    """Applies record N of partition 0 by merging photo N + 1 into all timelines."""

    stores: Stores
    merged: list[int] = field(default_factory=list)
    checkpoints: RedisCheckpoints = field(init=False)

    def __post_init__(self) -> None:
        self.checkpoints = RedisCheckpoints(
            retry=RetrySettings(store_wait_s_max=1),
            timelines=self.stores.timelines,
            offsets=FakeOffsets(),
            records=_Log(),
            topic=TOPIC,
            group=GROUP,
            groups={GROUP: range(LOCAL.partitions(FANOUT))},
            owned=lambda: set(range(LOCAL.partitions(FANOUT))),
            apply=self.apply,
        )

    async def apply(self, records: Sequence[Record], is_assigned: Callable[[], bool]) -> None:
        photos = [PhotoId(record.offset + 1) for record in records]
        await self.stores.timelines.insert(PackedIds(pack_ids(OWNERS)), photos)
        self.merged += photos

    async def handle(self, begin: int, end: int) -> None:
        """Do what the lane does with the records of these offsets."""
        async for records in _Log().read(0, begin, end):
            await self.apply(records, lambda: True)
            await self.checkpoints.advance(0, records[-1].offset + 1, lambda: True)


class _Log(RecordLog):
    async def read(self, partition: int, begin: int, end: int) -> AsyncGenerator[Sequence[Record], None]:
        for offset in range(begin, end):
            yield [Record(TOPIC, partition, offset, 0, None, None, ())]


@pytest.fixture
def namespace() -> str:
    return f"t{uuid4().hex[:8]}."


@pytest.fixture
async def stores(cluster: Cluster, namespace: str) -> AsyncIterator[Stores]:
    async with cluster_stores(cluster, namespace, insert_ids_max=64) as made:
        yield made


def take_over(replica: RedisClusterServer) -> None:
    """Let the replica become the primary, and the primary its replica, without a restart of either."""
    with Redis(port=replica.port) as client:
        client.execute_command("CLUSTER FAILOVER")
        wait_until(
            "it has taken over",
            lambda: client.info("replication").get("slave0", {}).get("state") == "online",
        )


@pytest.mark.law("L2")
async def test_what_a_primary_had_is_not_read_after_it_was_a_replica(
    cluster: Cluster, stores: Stores
) -> None:
    """Another server may have lost an invalidation meanwhile. A process that runs all the time notices it."""
    keys = [b"s" + pack_id(number) for number in range(60)]
    await stores.cache.fill(await stores.cache.lease(keys), dict.fromkeys(keys, b"old"), 60)
    assert await stores.cache.get(keys) == [b"old"] * 60

    take_over(cluster.replicas[2])
    served_by_replica = await stores.cache.get(keys)
    take_over(cluster.primaries[2])
    served_again = await stores.cache.get(keys)

    assert 0 < served_by_replica.count(None) < 60
    assert served_again == served_by_replica
    await stores.cache.fill(await stores.cache.lease(keys), dict.fromkeys(keys, b"new"), 60)
    assert set(await stores.cache.get(keys)) == {b"old", b"new"}


def keep_replica_older(cluster: Cluster, number: int) -> None:
    """End the replication from a primary to its replica, which keeps what it has."""
    with Redis(port=cluster.primaries[number].port) as primary:
        primary.execute_command("ACL SETUSER", "default", "-psync", "-sync")
        primary.execute_command("CLIENT KILL", "TYPE", "replica")
        assert primary.info("replication")["connected_slaves"] == 0


async def rings(stores: Stores) -> dict[UserId, ring.Ring]:
    values = {owner: await stores.timelines.read(owner) for owner in OWNERS}
    return {owner: ring.parse(value) for owner, value in values.items() if value is not None}


@pytest.mark.law("L8")
async def test_an_older_replica_takes_over(cluster: Cluster, stores: Stores, namespace: str) -> None:
    """Its readers' timelines get what they lack. Those of the others are not written, nor is any rebuilt."""
    worker = Worker(stores)
    for partition in range(LOCAL.partitions(FANOUT)):
        await worker.checkpoints.ensure(partition, 0, lambda: True)
    for owner in OWNERS:
        await stores.timelines.begin_rebuild(owner, TOKEN)
        await stores.timelines.finish_rebuild(owner, TOKEN, [], 0)
    await worker.handle(0, 5)
    lost, others = _owners_of(1)
    keep_replica_older(cluster, 1)
    await worker.handle(5, 10)
    assert (await stores.page_starts.read((), lost[0])).is_verified
    before = await rings(stores)
    worker.merged.clear()
    keys = [b"s" + pack_id(number) for number in range(200)]
    await stores.cache.fill(await stores.cache.lease(keys), dict.fromkeys(keys, b"row"), 60)

    cluster.primaries[1].kill()
    # The others are served meanwhile.
    await asyncio.gather(*(stores.page_starts.read((), owner) for owner in others))
    values = await stores.cache.get(keys)
    assert 100 < values.count(b"row") < 200
    assert values.count(None) == 200 - values.count(b"row")
    async with cluster_stores(cluster, namespace) as of_new_process:
        assert await of_new_process.cache.get(keys) == values
    with pytest.raises(StoreUnavailable):  # Law: an unfollow is not acknowledged then.
        await stores.cache.invalidate(keys)
    with pytest.raises(StoreUnavailable):
        await stores.cache.lease(keys)

    async def has_taken_over() -> bool:
        start = await stores.page_starts.read((), lost[0])
        assert not start.is_verified  # Until a worker has looked.
        return start.timeline is not None

    await eventually("the replica serves", _unless_down(has_taken_over))
    await worker.checkpoints.watch_once()

    after = await rings(stores)
    assert {owner: timeline.ids for owner, timeline in after.items()} == dict.fromkeys(
        OWNERS, frozenset(range(1, 11))
    )
    assert worker.merged == [6, 7, 8, 9, 10]
    assert {owner: after[owner].guard for owner in others} == {owner: before[owner].guard for owner in others}
    assert (await stores.page_starts.read((), lost[0])).is_verified
    await worker.handle(10, 12)
    assert {timeline.ids for timeline in (await rings(stores)).values()} == {frozenset(range(1, 13))}


def _owners_of(number: int) -> tuple[list[UserId], list[UserId]]:
    """Return the owners whose timelines the primary of this number has at the start, and the others."""
    slots = range(SLOTS * number // PRIMARIES, SLOTS * (number + 1) // PRIMARIES)
    groups = groups_of(is_cluster=True)
    there = [owner for owner in OWNERS if key_slot(groups.tags[groups.of(owner)]) in slots]
    return there, [owner for owner in OWNERS if owner not in there]


def _unless_down(is_so: Callable[[], Any]) -> Callable[[], Any]:
    async def looked() -> bool:
        try:
            return bool(await is_so())
        except StoreUnavailable:
            return False

    return looked
