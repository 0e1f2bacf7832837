"""A feed has the ready photos of the users whom the reader follows now, and the reader's own
photos."""

import asyncio
import time
from collections.abc import Sequence
from typing import NamedTuple

import pytest

from bench.traffic.events import follows, fresh_photo_ids, fresh_users, upload
from bench.traffic.readers import client_of, feed_of
from bench.traffic.waiting import eventually
from infra.local.deployment import Deployment
from schemas.facts import PhotoDeleted, UserUnfollowed
from schemas.ids import PhotoId, UserId
from shutterline.client.feed import FeedClient, feed_path
from streams.kafka.producing.producer import Outgoing
from streams.roles import Role
from tests.integration.conftest import DeploymentFactory

DEADLINE_S = 30.0


class People(NamedTuple):
    """Three users that no other test uses."""

    reader: UserId
    author: UserId
    other: UserId


@pytest.fixture
def people() -> People:
    return People(*fresh_users(3))


async def call(client: FeedClient, method: str, path: str, user: UserId) -> int:
    """Send a write over HTTP and return its status. A 503 is retried after `Retry-After`, as the
    API asks its clients to do."""
    headers = {"Authorization": f"Bearer {client.token_of(user)}"}
    deadline_s = time.monotonic() + DEADLINE_S
    while True:
        async with client.http.request(method, f"{client.api}{path}", headers=headers) as answer:
            if answer.status != 503 or time.monotonic() > deadline_s:
                return answer.status
            await asyncio.sleep(float(answer.headers["Retry-After"]))


@pytest.mark.law("L1")
async def test_an_author_crosses_the_threshold_and_back_without_gap_or_duplicate(
    system: DeploymentFactory, people: People
) -> None:
    """Pushed, pulled, pushed again, three times; posts in each phase; warm and cold readers see all, once."""
    deployment = system(pull_followers_min=20, push_again_followers_max=15, bucket_members_max=8)
    author, steady, passing = people.author, fresh_users(12), fresh_users(12)
    posted: list[PhotoId] = []

    async def post(client: FeedClient) -> None:
        photos = fresh_photo_ids(3)
        posted.extend(photos)
        await deployment.publish(upload(deployment, photo, author) for photo in photos)
        await deployment.drained()

    async with client_of(deployment) as client:
        await deployment.publish(follows(deployment, [(reader, author) for reader in steady]))
        await deployment.drained()
        for reader in steady[::2]:  # The others stay cold until the end.
            await feed_of(client, reader)
        for _ in range(3):
            await post(client)
            await deployment.publish(follows(deployment, [(reader, author) for reader in passing]))
            await deployment.drained()
            await post(client)
            gone = [UserUnfollowed(follower_id=reader, followee_id=author) for reader in passing]
            await deployment.publish(deployment.outgoing(change) for change in gone)
            await deployment.drained()
        await post(client)
        feeds = {reader: await feed_of(client, reader) for reader in steady}

    expected = sorted(posted, reverse=True)
    assert feeds == dict.fromkeys(steady, expected)


@pytest.mark.law("L1")
async def test_a_follow_brings_in_what_the_author_has(shared: Deployment, people: People) -> None:
    """The last 20 of 1,000 with the next request; the stored timeline filled soon after."""
    deployment, (reader, author, _) = shared, people
    photos = fresh_photo_ids(1_000, age_ms=120_000)
    newest = sorted(photos, reverse=True)
    async with client_of(deployment) as client:
        await deployment.publish(upload(deployment, photo, author) for photo in photos)
        await deployment.drained()
        assert [] == await feed_of(client, reader)

        assert 204 == await call(client, "PUT", f"/v1/social/follow/{author}", reader)
        page = await client.page(reader, limit=20)
        assert [str(photo) for photo in newest[:20]] == [item["photo_id"] for item in page.items]
        await deployment.drained()
        assert newest == await feed_of(client, reader)

        assert 204 == await call(client, "DELETE", f"/v1/social/follow/{author}", reader)
        assert [] == (await client.page(reader, limit=20)).items


async def test_what_a_caller_does_is_seen_in_their_next_request(shared: Deployment, people: People) -> None:
    """This holds for follow, unfollow, like, unlike and delete."""
    deployment, (reader, author, _) = shared, people
    [photo] = fresh_photo_ids(1)
    async with client_of(deployment) as client:
        await deployment.publish([upload(deployment, photo, author)])
        await deployment.drained()
        assert 204 == await call(client, "PUT", f"/v1/photos/{photo}/like", reader)
        body, _ = await client.get(f"/v1/photos/{photo}", reader)
        assert body["liked"] is True
        assert 204 == await call(client, "DELETE", f"/v1/photos/{photo}/like", reader)
        body, _ = await client.get(f"/v1/photos/{photo}", reader)
        assert body["liked"] is False
        await call(client, "PUT", f"/v1/social/follow/{author}", reader)
        assert [photo] == await feed_of(client, reader)
        assert 204 == await call(client, "DELETE", f"/v1/photos/{photo}", author)
        assert [] == await feed_of(client, reader)
        assert 404 == await call(client, "PUT", f"/v1/photos/{photo}/like", reader)


async def test_late_photos_push_out_no_newer_one(shared: Deployment, people: People) -> None:
    """700 imported photos with old ids are delivered to a reader whose timeline has 50 newer
    photos. The feed shows all 750."""
    deployment, (reader, author, other) = shared, people
    async with client_of(deployment) as client:
        await deployment.publish(follows(deployment, [(reader, author), (reader, other)]))
        await deployment.drained()
        await feed_of(client, reader)
        fresh = fresh_photo_ids(50)
        await deployment.publish(upload(deployment, photo, author) for photo in fresh)
        await deployment.drained()
        late = fresh_photo_ids(700, age_ms=3_600_000)
        await deployment.publish(upload(deployment, photo, other) for photo in late)
        await deployment.drained()
        found = await feed_of(client, reader)

    assert sorted(fresh + late, reverse=True) == found


@pytest.mark.law("L2")
async def test_pages_in_flight_bring_back_nobody(deploy: DeploymentFactory, people: People) -> None:
    """Law: no ghost. Pages are held back while unfollow and delete are acknowledged."""
    deployment, (reader, author, other) = deploy(), people
    deployment.start_all({"lanes": [Role.NORMAL, Role.BULK], "check": [Role.CHECK, Role.EDGES]})
    unfollowed, deleted = fresh_photo_ids(2)
    async with client_of(deployment) as client:
        await deployment.publish(follows(deployment, [(reader, author), (reader, other)]))
        await deployment.drained()
        await feed_of(client, reader)
        deployment.stack.stop_process(f"{deployment.namespace}lanes")
        await deployment.publish([upload(deployment, unfollowed, author), upload(deployment, deleted, other)])
        await eventually("the photos are ready", lambda: are_ready(client, other, [unfollowed, deleted]))
        assert 204 == await call(client, "DELETE", f"/v1/social/follow/{author}", reader)
        assert 204 == await call(client, "DELETE", f"/v1/photos/{deleted}", other)
        assert [] == (await client.page(reader, limit=20)).items

        deployment.start_worker("lanes", roles=[Role.NORMAL, Role.BULK])
        await deployment.drained()

        assert [] == await feed_of(client, reader)


async def are_ready(client: FeedClient, reader: UserId, photos: Sequence[PhotoId]) -> bool:
    for photo in photos:
        headers = {"Authorization": f"Bearer {client.token_of(reader)}"}
        async with client.http.get(f"{client.api}/v1/photos/{photo}", headers=headers) as answer:
            if answer.status != 200:
                return False
    return True


@pytest.mark.law("L3")
async def test_a_delete_counts_only_with_the_photos_own_author(shared: Deployment, people: People) -> None:
    """A delete before its upload is remembered; somebody else's has no effect, before or after."""
    deployment, (reader, author, other) = shared, people
    mine, theirs, kept = fresh_photo_ids(3)

    def delete(photo: PhotoId, who: UserId) -> Outgoing:
        data = PhotoDeleted(photo_id=photo, author_id=who)
        return deployment.outgoing(data)

    async with client_of(deployment) as client:
        await deployment.publish(follows(deployment, [(reader, author)]))
        await deployment.publish([delete(mine, author), delete(theirs, other)])
        await deployment.drained()
        await deployment.publish(upload(deployment, photo, author) for photo in (mine, theirs, kept))
        await deployment.drained()
        await deployment.publish([delete(kept, other)])
        await deployment.drained()
        found = await feed_of(client, reader)
        counts, _ = await client.get(f"/v1/users/{author}", reader)

    assert sorted([theirs, kept], reverse=True) == found
    assert counts["photos"] == 2


async def test_a_photo_without_renditions_is_seen_by_its_author_alone(
    system: DeploymentFactory, people: People
) -> None:
    """A photo is `processing` until its thumbnail exists. If its original never arrives, it is
    `rejected` after the longest wait."""
    # Long enough that on two busy cores the photo is not rejected before the test has read
    # `processing`.
    deployment, (reader, author, _) = system(original_wait_s_max=12, original_poll_s=1), people
    [photo] = fresh_photo_ids(1)
    async with client_of(deployment) as client:
        await deployment.publish(follows(deployment, [(reader, author)]))
        await deployment.publish([upload(deployment, photo, author, ready=False)])
        await deployment.drained()
        own = (await client.page(author, limit=20)).items
        assert [("processing", str(photo))] == [(item["status"], item["photo_id"]) for item in own]
        assert [] == await feed_of(client, reader)

        async def rejected() -> bool:
            body, _ = await client.get(f"/v1/photos/{photo}", author)
            return bool(body["status"] == "rejected" and body["reason"] == "original_missing")

        await eventually("the photo without an original is rejected", rejected)
        assert [] == (await client.page(author, limit=20)).items
        body, _ = await client.get(feed_path(20).replace("feed", f"users/{author}/photos"), author)
        assert [str(photo)] == [item["photo_id"] for item in body["items"]]


@pytest.mark.law("L1")
async def test_a_page_does_not_say_complete_while_no_worker_delivers(
    deploy: DeploymentFactory, people: People
) -> None:
    """A ready photo is missing from the timeline for as long as there is no fan-out worker, and the
    page says so within 5 seconds; when a worker starts, the photo is there and the page complete."""
    deployment, (reader, author, _) = deploy(), people
    deployment.start_all()
    async with client_of(deployment) as client:
        await deployment.publish(follows(deployment, [(reader, author)]))
        await deployment.drained()
        await client.page(reader, limit=20)
        deployment.stack.stop_process(f"{deployment.namespace}worker-1")
        deployment.start_worker("worker-2", (Role.CHECK, Role.EDGES))
        [photo] = fresh_photo_ids(1)
        await deployment.publish([upload(deployment, photo, author)])
        await eventually("the photo is ready", lambda: are_ready(client, author, [photo]))
        since_s = time.monotonic()

        async def said() -> str:
            page = await client.page(reader, limit=20)
            is_there = str(photo) in [item["photo_id"] for item in page.items]
            assert is_there or page.completeness != "complete" or time.monotonic() - since_s < 5.5
            return page.completeness

        async def is_partial() -> bool:
            return await said() == "partial"

        async def is_complete() -> bool:
            return await said() == "complete"

        await eventually("the page is partial", is_partial)
        deployment.start_worker("worker-3", (Role.NORMAL, Role.BULK))
        await eventually("the page is complete", is_complete)
        assert [photo] == await feed_of(client, reader)
