"""A primary that hangs delays the posts of its own readers, and no others."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from time import monotonic
from typing import Any
from uuid import uuid4

import pytest
from redis import Redis
from redis.crc import key_slot

from bench.traffic.waiting import eventually, wait_until
from infra.local.servers.redis_cluster import SLOTS
from schemas.envelope import Record
from schemas.ids import PhotoId, UserId, compose_id
from schemas.internal import EdgeRecord, FanoutPosts, SetKind, encode_fanout
from streams.clock import unix_ms
from streams.core import ring
from streams.core.feed import Completeness
from streams.core.photos import Photo
from streams.edges.counting import SetWriter
from streams.errors import StoreUnavailable
from streams.jobs.undelivered import UndeliveredJob
from streams.kafka.stages.fanout_log import RecordLog
from streams.kafka.stages.group_applier import GroupApplier
from streams.kafka.stages.group_checkpoints import GroupCheckpoints
from streams.photos.ready import ReadyPhoto, photos_ready
from streams.ports.groups import Stores
from streams.settings import FanoutSettings, RetrySettings
from streams.stores.cache.keys import keys_of_photo, pull_list_key
from streams.stores.redis.groups import groups_of
from tests.integration.redis_cluster.conftest import PRIMARIES, Cluster
from tests.integration.redis_cluster.test_contracts import cluster_stores
from tests.worlds.api import CREATED_AT, RENDITIONS, World, make_world_of
from tests.worlds.deliveries import PUSHED
from tests.worlds.kafka import LOCAL, FakeOffsets
from tests.worlds.renditions import RULES
from tests.worlds.renditions import Log as Outbox
from topics.catalogue import FANOUT

AUTHOR = UserId(1)
OWNERS = [UserId(number) for number in range(10, 310)]
HANGS = 1
GROUP = "fanout-normal"
POSTS = 8
TOKEN = b"12345678"
# What a batch takes on a busy machine; a server is waited for 500 ms, three times at most.
USUAL_S, FIRST_S = 0.4, 2.5
PHOTO = Photo(
    photo_id=PhotoId(1),
    author_id=AUTHOR,
    created_at=CREATED_AT,
    caption="",
    object_key="originals/1",
    content_type="image/jpeg",
    renditions={},
)


def slots_of_primary(number: int) -> range:
    return range(SLOTS * number // PRIMARIES, SLOTS * (number + 1) // PRIMARIES)


def is_lost(owner: UserId) -> bool:
    """Whether the owner's timeline is on the server that hangs."""
    groups = groups_of(is_cluster=True)
    return key_slot(groups.tags[groups.of(owner)]) in slots_of_primary(HANGS)


@dataclass(slots=True)
class Lane(RecordLog):
    """One partition of the normal lane and the worker that has it; `stores` are the worker's."""

    stores: Stores
    records: list[Record] = field(default_factory=list)
    offsets: FakeOffsets = field(default_factory=FakeOffsets)
    checkpoints: GroupCheckpoints = field(init=False)

    def __post_init__(self) -> None:
        retry, settings = RetrySettings(store_wait_s_max=1), FanoutSettings()
        self.checkpoints = GroupCheckpoints(
            retry=retry,
            timelines=self.stores.timelines,
            offsets=self.offsets,
            records=self,
            topic=FANOUT.name,
            group=GROUP,
            groups={GROUP: range(LOCAL.partitions(FANOUT))},
            owned=lambda: {0},
            applier=GroupApplier(settings, retry, self.stores, asyncio.Semaphore(8), asyncio.Semaphore(2)),
            wait_s=settings.timelines_wait_ms_max / 1_000,
        )

    async def read(self, partition: int, begin: int, end: int) -> AsyncGenerator[Sequence[Record], None]:
        yield self.records[begin:end]

    async def post(self) -> float:
        """Make a photo ready and deliver it; returns how long the delivery took, in seconds."""
        number, now_ms = len(self.records), unix_ms()
        photo = PhotoId(compose_id(now_ms, 1, number))
        await self.stores.photos.insert([replace(PHOTO, photo_id=photo)])
        await self.stores.photos.mark_ready({photo: RENDITIONS}, {photo: PUSHED})
        await self.stores.author_photos.add([(photo, AUTHOR)], ready=True)
        value = encode_fanout(FanoutPosts(now_ms, ((photo, AUTHOR, 0, 0),)))
        self.records.append(Record(FANOUT.name, 0, number, now_ms, None, value, ()))
        began_s = monotonic()
        await self.checkpoints.handle(self.records[-1:], lambda: True)
        self.offsets.commit_of[GROUP, FANOUT.name, 0] = number + 1
        return monotonic() - began_s

    async def posts_of(self, owner: UserId) -> int:
        value = await self.stores.timelines.read(owner)
        assert value is not None
        return len(ring.parse(value).ids)


@pytest.fixture
def namespace() -> str:
    """A prefix with which the first list of undelivered photos is on the server that hangs."""
    names = (f"t{uuid4().hex[:8]}." for _ in range(100))
    return next(name for name in names if key_slot(name.encode() + b"w") in slots_of_primary(HANGS))


def late_author(namespace: str) -> UserId:
    """Return an author whose cached list is on the server that hangs."""
    keys = (
        (UserId(number), b"%bz" % namespace.encode() + pull_list_key(number)) for number in range(400, 500)
    )
    return next(author for author, key in keys if key_slot(key) in slots_of_primary(HANGS))


@pytest.fixture
async def lane(cluster: Cluster, namespace: str) -> AsyncIterator[Lane]:
    # Longer than any test, so that the lane's own deadline must do.
    async with cluster_stores(cluster, namespace, timeout_s=60.0) as stores:
        yield Lane(stores)


@pytest.fixture
async def api(cluster: Cluster, namespace: str, lane: Lane) -> AsyncIterator[World]:
    """The API over the same stores, with the timeout of its own."""
    async with cluster_stores(cluster, namespace, timeout_s=0.5) as made:
        names = ("cache", "timelines", "page_starts", "undelivered", "rebuild_budget")
        yield await make_world_of(
            replace(lane.stores, **{name: getattr(made, name) for name in names}), unix_ms()
        )


@contextmanager
def hanging(cluster: Cluster) -> Iterator[None]:
    """Stop a primary, which no replica replaces meanwhile."""
    clients = [Redis(port=replica.port) for replica in cluster.replicas]
    for client in clients:
        client.config_set("cluster-replica-no-failover", "yes")
    cluster.primaries[HANGS].pause()
    try:
        yield
    finally:
        cluster.primaries[HANGS].resume()
        for client in clients:
            wait_until("its primary is back", partial(_sees_all, client))
            client.config_set("cluster-replica-no-failover", "no")
            client.close()


def _sees_all(client: Any) -> bool:
    flags = {flag for node in client.cluster("NODES").values() for flag in node["flags"].split(",")}
    return not flags & {"fail", "fail?"}


async def begin(lane: Lane, api: World) -> tuple[UserId, UserId]:
    """Let all owners follow the author, and have timelines; return one of each server's readers."""
    edges = [EdgeRecord(SetKind.FOLLOWERS, owner, AUTHOR, 1, removed=False) for owner in OWNERS]
    writer = SetWriter(
        lane.stores.counted_sets,
        lane.stores.cache,
        Outbox(),
        bucket_members_max=1_000,
        backfill_follows_max=10,
        generation=1,
    )
    await writer.apply(edges, 0, len(edges))
    for owner in OWNERS:
        await lane.stores.timelines.begin_rebuild(owner, TOKEN)
        await lane.stores.timelines.finish_rebuild(owner, TOKEN, [], 0)
    readers = next(filter(is_lost, OWNERS)), next(owner for owner in OWNERS if not is_lost(owner))
    for reader in readers:
        await api.follow(reader, AUTHOR)
    await later(lane, api, 120)
    return readers


async def later(lane: Lane, api: World, seconds: float) -> None:
    api.log_ends.end_of[FANOUT.name, 0] = len(lane.records)
    await api.later(seconds)


@pytest.mark.law("L8")
@pytest.mark.law("L15")
async def test_a_primary_that_hangs_delays_its_own_readers_alone(
    cluster: Cluster, lane: Lane, api: World
) -> None:
    """The others get posts as before, and their pages are complete. It gets all it lacks when it goes on."""
    lost, other = await begin(lane, api)
    usual_s = [await lane.post() for _ in range(POSTS)]
    await later(lane, api, 1)
    for reader in (lost, other):
        page = await api.page(reader)
        assert (len(page.ids), page.completeness) == (POSTS, Completeness.COMPLETE)

    with hanging(cluster):
        first_s, *others_s = [await lane.post() for _ in range(POSTS)]
        assert {await lane.posts_of(owner) for owner in OWNERS if not is_lost(owner)} == {2 * POSTS}
        for _ in range(7):
            await later(lane, api, 1)
        page = await api.page(other)
        assert (len(page.ids), page.completeness) == (2 * POSTS, Completeness.COMPLETE)
        # From the database, where nothing is missing.
        assert len((await api.page(lost)).ids) == 2 * POSTS
    print(f"batches: usual {max(usual_s):.3f} s, first {first_s:.3f} s, others {max(others_s):.3f} s")
    assert first_s < FIRST_S
    assert max(others_s) < max(USUAL_S, 3 * max(usual_s))

    await later(lane, api, 1)
    page = await api.page(lost)
    assert page.completeness is Completeness.PARTIAL or len(page.ids) == 2 * POSTS
    await eventually("it has caught up", lambda: caught_up(lane))
    values = [await lane.stores.timelines.read(owner) for owner in OWNERS]
    photos = [[photo for photo in ring.parse(value).slots if photo] for value in values if value is not None]
    assert {len(set(some)) for some in photos} == {2 * POSTS}
    # What was sent to it before it was left out, it has executed late: one batch.
    assert max(len(some) for some in photos) <= 2 * POSTS + 1
    await later(lane, api, 1)
    page = await api.page(lost)
    assert (len(page.ids), page.completeness) == (2 * POSTS, Completeness.COMPLETE)


@pytest.mark.law("L1")
@pytest.mark.law("L15")
async def test_a_post_does_not_wait_for_a_primary_that_has_its_author_cached(
    cluster: Cluster, lane: Lane, api: World, namespace: str
) -> None:
    """When the primary goes on with the old list, the post is delivered again."""
    author, outbox, photo = late_author(namespace), Outbox(), PhotoId(compose_id(unix_ms(), 1, 0))
    await api.upload(photo, author)
    await later(lane, api, 120)
    await api.page(author)
    keys = keys_of_photo(photo, author)
    assert (await lane.stores.cache.get(keys))[1] is not None
    job = UndeliveredJob(lane.stores, outbox, RULES, LOCAL, owns=lambda: True)

    with hanging(cluster):
        began_s = monotonic()
        await photos_ready(
            lane.stores,
            outbox,
            [ReadyPhoto(photo, author, RENDITIONS)],
            delivery_rules=RULES,
            sizes=LOCAL,
            now_ms=unix_ms(),
        )
        took_s = monotonic() - began_s
        delivered = len(outbox.fanout_log)
        for _ in range(2):
            await job.look()
        assert (await lane.stores.undelivered.all(), len(outbox.fanout_log)) == ({photo: author}, delivered)
    print(f"made ready beside a primary that hangs: {took_s:.3f} s")
    assert took_s < FIRST_S

    assert (await lane.stores.cache.get(keys))[1] is not None
    await eventually("it is finished", lambda: finished(job))
    assert len(outbox.fanout_log) == 2 * delivered
    assert await lane.stores.cache.get(keys) == [None, None]


async def finished(job: UndeliveredJob) -> bool:
    await job.look()
    return not await job.stores.undelivered.all()


async def caught_up(lane: Lane) -> bool:
    try:
        await lane.checkpoints.catch_up_once()
    except StoreUnavailable:
        return False
    return not lane.checkpoints.behind(0)


@pytest.mark.law("L8")
async def test_a_replica_takes_over_from_a_primary_that_hangs(
    cluster: Cluster, lane: Lane, api: World
) -> None:
    """Its readers get what they lack, although no call of the worker waits until the server has failed."""
    await begin(lane, api)
    await lane.post()
    cluster.primaries[HANGS].pause()
    try:
        for _ in range(3):
            await lane.post()
        await eventually("it has caught up", lambda: caught_up(lane))

        assert {await lane.posts_of(owner) for owner in OWNERS} == {4}
    finally:
        cluster.primaries[HANGS].resume()
