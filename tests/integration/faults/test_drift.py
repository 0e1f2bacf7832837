"""What somebody changed by hand in Cassandra or in Redis is found by one audit, and repaired."""

import asyncio
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from cassandra.cluster import Session

from bench.traffic.events import follows, fresh_photo_ids, fresh_users, upload
from bench.traffic.readers import client_of, feed_of
from infra.local.deployment import Deployment
from schemas.facts import PhotoLiked
from schemas.ids import PackedIds, pack_ids
from streams.core.counted import bucket_of
from streams.core.eras import era_of
from streams.ports.timelines import PhotosForOwners
from streams.settings import CassandraSettings
from streams.stores.cassandra.session import make_cluster
from streams.stores.connect import connect
from tests.integration.conftest import DeploymentFactory

# With 20 followers and buckets of one, a set has 256 buckets and their pages.
FOLLOWERS, LEVEL = 20, 2


async def audit(deployment: Deployment, *arguments: str) -> tuple[int, str]:
    """Run `shutterline audit`; returns its status and what it said."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "shutterline", "audit", *arguments),
        env={**os.environ, **deployment.environment, "COLUMNS": "120"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    return process.returncode or 0, said.decode()


@contextmanager
def database(settings: CassandraSettings) -> Iterator[Session]:
    cluster = make_cluster(settings, timeout_s=30.0)
    try:
        yield cluster.connect(settings.keyspace)
    finally:
        cluster.shutdown()


async def test_changes_by_hand_are_found_and_repaired(system: DeploymentFactory) -> None:
    """Each statement has the time of now, later than all that workers write. Counting goes on after it."""
    deployment = system(bucket_members_max=1)
    author, stranger, *readers = fresh_users(FOLLOWERS + 2)
    photos, [strange] = fresh_photo_ids(6), fresh_photo_ids(1)
    likes = [deployment.outgoing(PhotoLiked(photo_id=photos[0], user_id=reader)) for reader in readers[:3]]
    await deployment.publish(follows(deployment, [(reader, author) for reader in readers]))
    await deployment.publish([*(upload(deployment, photo, author) for photo in photos), *likes])
    await deployment.publish([upload(deployment, strange, stranger)])
    await deployment.drained()
    async with client_of(deployment) as client:
        feeds = [await feed_of(client, reader) for reader in readers]
        sound = await audit(deployment)
        with database(deployment.settings) as session:
            bucket = f"owner_id = {author} AND level = {LEVEL} AND bucket = "
            where = [bucket + str(bucket_of(reader, LEVEL)) for reader in readers]
            for statement in (
                f"DELETE FROM following WHERE follower_id = {readers[0]} AND followee_id = {author}",
                f"DELETE FROM followers WHERE {where[1]} AND member_id = {readers[1]}",
                f"UPDATE followers SET live = 99 WHERE {where[2]}",
                f"UPDATE followers SET page = 0x{pack_ids([stranger]).hex()} WHERE {where[3]}",
                f"UPDATE followers SET total = 77 WHERE owner_id = {author} AND level = 0 AND bucket = 0",
                f"DELETE FROM likers WHERE owner_id = {photos[0]} AND level = 1"
                f" AND bucket = {bucket_of(readers[1], 1)} AND member_id = {readers[1]}",
                f"DELETE FROM likes_by_user WHERE user_id = {readers[2]} AND era = {era_of(photos[0])}"
                f" AND photo_id = {photos[0]}",
                f"DELETE FROM photos_by_author WHERE author_id = {author} AND photo_id = {photos[1]}",
                f"DELETE FROM ready_photos WHERE owner_id = {author} AND level = 1"
                f" AND bucket = {bucket_of(photos[2], 1)} AND member_id = {photos[2]}",
            ):
                session.execute(statement)
        async with connect(deployment.settings, timeout_ms=2_000) as stores:
            owner = PackedIds(pack_ids([readers[4]]))
            await stores.timelines.append([PhotosForOwners((strange, photos[3]), owner)])
        status, found = await audit(deployment)
        repaired = await audit(deployment, "--repair")
        after = await audit(deployment)
        await deployment.publish(follows(deployment, [(stranger, author)]))
        await deployment.drained()
        again = [await feed_of(client, reader) for reader in readers]
        shown = await client.settled(f"/v1/users/{author}", author)

    assert sound[0] == 0, sound
    assert status == 1
    for drift in (
        *("following", "followers", "counts", "pages", "likers", "likes_by_user"),
        *("photos_by_author", "ready_photos", "extra", "doubled"),
    ):
        assert f"{drift} " in found, found
    assert repaired[0] == 0, repaired
    assert "0 differences, 0 left" in after[1], after
    assert again == feeds == [sorted(photos, reverse=True)] * FOLLOWERS
    assert (shown["followers"], shown["photos"]) == (FOLLOWERS + 1, len(photos))
