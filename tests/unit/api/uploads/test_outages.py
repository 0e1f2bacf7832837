"""Uploads over HTTP while a store is away: nothing remains, or a repeat finishes it."""

import pytest

from schemas.ids import PhotoId, UserId
from streams.photos.begun import photo_begun
from streams.uploads.entering import photo_of
from tests.worlds.api import make_world
from tests.worlds.flaky_stores import Moment
from tests.worlds.uploading import (
    LIMITS,
    ME,
    object_key,
    objects,
    own_photos,
    published,
    rows,
    through,
    unfinished_parts,
    uploading,
)


@pytest.mark.parametrize("store", ["kafka", "redis", "cassandra", "s3"])
@pytest.mark.parametrize("way", ["signed", "parts", "body", "body in parts"])
async def test_a_store_that_is_away_is_503_and_nothing_remains(way: str, store: str) -> None:
    """No row, object, part, count or event remains."""
    world = await make_world(**LIMITS)
    async with uploading(world) as me:

        async def begin() -> int:
            content = b"12345" if way in ("signed", "body") else bytes(range(25))
            answer = await (me.start(len(content)) if way in ("signed", "parts") else me.send(content, b""))
            assert ("retry-after" in answer.headers) == (answer.status_code == 503)
            return answer.status_code

        world.fail(store)
        refused = [await begin() for _ in range(6)]
        world.fail(store, down=False)
        remains = (await rows(world), await objects(world), await unfinished_parts(world), published(world))
        after = await begin()

    assert (refused, after in (201, 202)) == ([503] * 6, True)
    # While S3 is unavailable, its objects cannot be removed. The row stays, so that the cleaning
    # job finds them later.
    assert remains[1:] == ([], [], [])
    assert remains[0] == [] or store == "s3"


@pytest.mark.parametrize("store", ["kafka", "cassandra", "s3", "redis"])
async def test_a_completion_that_a_store_fails_is_503_and_can_be_repeated(store: str) -> None:
    """The upload does not change, so it can be completed when the store is back."""
    world = await make_world(**LIMITS)
    async with uploading(world) as me:
        photo = await me.begun(b"12345")
        world.fail(store)
        failed = await me.complete(photo)
        world.fail(store, down=False)
        done = await me.complete(photo)

    assert (failed.status_code, done.status_code) == (503, 202)
    assert (published(world), await own_photos(world)) == ([int(photo)], [int(photo)])


async def test_a_publish_that_fails_takes_back_the_body() -> None:
    """Kafka fails after the body has arrived: no row, object or key remains. A tombstone prevents
    the photo if the event was published after all."""
    world = await make_world(**LIMITS)
    world.publisher.fails_after_ping = True
    async with uploading(world) as me:
        failed = await me.send(b"12345", key="k")
        (lost,) = published(world)
        remains = (
            await rows(world),
            await objects(world),
            await world.stores.uploads.claimed(UserId(ME), "k"),
        )
        world.publisher.fails_after_ping = False
        again = await me.send(b"12345", key="k")

    assert (failed.status_code, remains, again.status_code) == (503, ([], [], None), 202)
    assert await world.stores.photos.tombstones([(PhotoId(lost), UserId(ME))])
    assert (await own_photos(world), await rows(world)) == ([int(again.json()["photo_id"])], [])


async def test_a_publish_that_succeeded_unknown_to_us_is_answered_as_done() -> None:
    """The publish reports a failure, but the event was published and handled. The API finds the
    photo, so it returns 202."""
    world = await make_world(**LIMITS)
    world.publisher.fails_after_ping = True

    async def handled(moment: Moment) -> None:
        if (moment.store, moment.done) == ("publisher", False) and moment.operation == "publish":
            (upload,) = await rows(world)
            await photo_begun(world.memory, photo_of(upload))

    through(world, handled)
    async with uploading(world) as me:
        answer = await me.send(b"12345")
        shown = await me.http.get(f"/v1/photos/{answer.json()['photo_id']}")

    assert (answer.status_code, shown.status_code) == (202, 200)
    assert await objects(world) == [object_key(world, answer.json()["photo_id"])]
