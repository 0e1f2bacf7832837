"""Counts are exact when all events have been handled, even after repeats, reordering and kills."""

import random

import pytest

from bench.traffic.events import fresh_photo_ids, upload
from infra.local.deployment import Deployment
from schemas.facts import PhotoDeleted, PhotoLiked, PhotoUnliked, UserFollowed, UserUnfollowed
from schemas.ids import PhotoId, UserId
from schemas.internal import SetKind
from streams.kafka.producing.producer import Outgoing
from streams.stores.connect import connect
from tests.integration.conftest import DeploymentFactory

AUTHORS = [UserId(number) for number in range(1, 6)]
GIANT = AUTHORS[0]
FOLLOWERS = 150


class World:
    """Publishes events, and computes what must be true after all of them in any order."""

    def __init__(self, deployment: Deployment, seed: int) -> None:
        self.random = random.Random(seed)
        self.deployment = deployment
        self.records: list[Outgoing] = []
        self.states: dict[tuple[SetKind, int, int], tuple[int, bool]] = {}
        self.time_us = 1_750_000_000_000_000

    def edge(self, kind: SetKind, member: int, owner: int) -> None:
        """Add a change of one edge. Now and then it has the same time as the change before."""
        removed = self.random.random() < 0.3
        self.time_us += self.random.choice([0, 1, 1_000])
        before = self.states.get((kind, owner, member), (0, False))
        self.states[kind, owner, member] = max(before, (self.time_us, removed))
        data: PhotoLiked | PhotoUnliked | UserFollowed | UserUnfollowed
        if kind is SetKind.LIKERS:
            model = PhotoUnliked if removed else PhotoLiked
            data = model(photo_id=PhotoId(owner), user_id=UserId(member))
        else:
            change = UserUnfollowed if removed else UserFollowed
            data = change(follower_id=UserId(member), followee_id=UserId(owner))
        self.records.append(
            self.deployment.outgoing(data, time_us=self.time_us, partition=self.random.randrange(6))
        )

    def photo(self, photo: PhotoId, author: UserId, *, deleted: bool) -> None:
        self.states[SetKind.READY_PHOTOS, author, photo] = (1, deleted)
        partition = self.random.randrange(6)
        self.records.append(upload(self.deployment, photo, author, partition=partition))
        if deleted:
            gone = PhotoDeleted(photo_id=photo, author_id=author)
            self.records.append(self.deployment.outgoing(gone))

    def totals(self) -> dict[tuple[SetKind, int], int]:
        totals: dict[tuple[SetKind, int], int] = {}
        for (kind, owner, _), (_, removed) in self.states.items():
            totals[kind, owner] = totals.get((kind, owner), 0) + (not removed)
        return totals


@pytest.mark.law("L6")
async def test_counts_are_exact_after_repeats_disorder_and_kills(deploy: DeploymentFactory) -> None:
    """Every event three times, shuffled, over any partition; workers killed; a set grows by two levels."""
    deployment = deploy(bucket_members_max=4, edges_batch_records_max=50, edges_linger_ms=20)
    world = World(deployment, seed=7)
    photos = fresh_photo_ids(20)
    for index, photo in enumerate(photos):
        world.photo(photo, AUTHORS[index % len(AUTHORS)], deleted=index % 4 == 0)
    for member in range(100, 100 + FOLLOWERS):
        world.edge(SetKind.FOLLOWERS, member, GIANT)
        world.edge(SetKind.FOLLOWERS, member, world.random.choice(AUTHORS))
        world.edge(SetKind.LIKERS, member, world.random.choice(photos))
        world.edge(SetKind.LIKERS, member, photos[0])
    records = world.records * 3
    world.random.shuffle(records)
    names = ["worker-1", "worker-2"]
    workers = [deployment.start_worker(name) for name in names]

    third = len(records) // 3
    for index, worker in enumerate(workers):
        await deployment.publish(records[index * third : (index + 1) * third])
        worker.kill()
        deployment.start_worker(names[index])
    await deployment.publish(records[2 * third :])
    await deployment.drained(180)

    async with connect(deployment.settings, timeout_ms=10_000) as stores:
        found: dict[tuple[SetKind, int], int] = {}
        levels = {}
        for kind in SetKind:
            owners = sorted({owner for set_kind, owner in world.totals() if set_kind is kind})
            for owner, head in (await stores.counted_sets.summaries(kind, owners)).items():
                found[kind, owner] = head.total
                levels[kind, owner] = head.level

    assert world.totals() == found
    assert levels[SetKind.FOLLOWERS, GIANT] == 2
