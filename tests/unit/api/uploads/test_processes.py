"""What a user may do once at a time holds over all API processes."""

import asyncio
from functools import partial

import pytest

from bench.traffic.waiting import eventually
from schemas.ids import UserId
from streams.uploads.errors import KeyInUse
from streams.uploads.turns import UploadTurns
from tests.worlds.api import World, another_process, make_world
from tests.worlds.slow_clients import SlowPost, disconnect, start

ME = UserId(1)
LEASE_MS = 60


async def _processes() -> tuple[World, World]:
    """Two API processes that share a Redis."""
    first = await make_world()
    return first, await another_process(first)


def _image(world: World, key: str) -> SlowPost:
    """A large image of which one byte arrives."""
    return SlowPost(
        world,
        {
            "authorization": f"Bearer {world.token(ME)}",
            "content-type": "image/jpeg",
            "content-length": "20000000",
            "idempotency-key": key,
        },
    )


@pytest.mark.law("L14")
async def test_a_user_sends_two_images_to_all_processes() -> None:
    """The third is 429, by whatever process. When one has ended, there is room for another."""
    first, second = await _processes()
    posts = [_image(first, "a"), _image(second, "b"), _image(second, "c"), _image(first, "d")]
    tasks = await start(posts)
    statuses = [post.status for post in posts]
    await disconnect(posts[:1], tasks[:1])
    later = [_image(second, "e")]
    later_tasks = await start(later)
    later_status = later[0].status
    await disconnect(posts[1:] + later, tasks[1:] + later_tasks)

    assert statuses == [None, None, 429, 429]
    assert later_status is None


@pytest.mark.law("L14")
async def test_one_request_with_a_key_runs_in_all_processes() -> None:
    """The second is 409, although another process has the first."""
    posts = [_image(world, "k") for world in await _processes()]
    tasks = await start(posts)
    statuses = [post.status for post in posts]
    await disconnect(posts, tasks)

    assert statuses == [None, 409]


async def test_without_redis_each_process_limits_alone() -> None:
    """A user may send two images to each, and use a key once in each."""
    first, second = await _processes()
    for world in (first, second):
        world.switches["leases"].down = True
    posts = [_image(world, key) for world in (first, second) for key in ("k", "k", "l", "m")]
    tasks = await start(posts)
    statuses = [post.status for post in posts]
    await disconnect(posts, tasks)

    assert statuses == [None, 409, None, 429] * 2


async def test_a_lease_is_renewed_until_its_process_dies() -> None:
    """It is held for longer than it is valid, and ends by itself."""
    world = await make_world()
    leases = world.switches["leases"]
    one, other = (
        UploadTurns(leases=world.stores.leases, lease_ms=LEASE_MS, images_of_user_max=1) for _ in range(2)
    )
    async with one.key(ME, "k"):
        for _ in range(3):
            world.clock.ms += LEASE_MS // 2
            taken = len(leases.calls)
            await eventually("the lease is renewed", partial(_is_longer, leases.calls, taken))
            with pytest.raises(KeyInUse):
                async with other.key(ME, "k"):
                    pass
    assert await _is_free(other)

    dying = asyncio.create_task(_hold(one))
    await eventually("the lease is taken", lambda: leases.calls[-1] == "take")
    # As if it were killed: nothing is renewed, nothing released.
    leases.down = True
    dying.cancel()
    await asyncio.gather(dying, return_exceptions=True)
    leases.down = False
    assert not await _is_free(other)
    world.clock.ms += LEASE_MS

    assert await _is_free(other)


def _is_longer(calls: list[str], than: int) -> bool:
    return len(calls) > than


async def _hold(turns: UploadTurns) -> None:
    async with turns.key(ME, "k"):
        await asyncio.Event().wait()


async def _is_free(turns: UploadTurns) -> bool:
    try:
        async with turns.key(ME, "k"):
            return True
    except KeyInUse:
        return False
