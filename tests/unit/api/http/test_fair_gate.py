"""One client cannot starve another: attacks with slow bodies, and what another user notices of them."""

import asyncio
from http import HTTPStatus

import pytest

from api.http.body import BodyBounds, Received
from api.http.problems import Problem
from schemas.ids import UserId
from tests.worlds.api import World, make_world
from tests.worlds.slow_clients import SlowPost, disconnect, start
from tests.worlds.uploading import uploading

LARGE = "20000000"


def _small(world: World, user: int, content_type: str = "application/json") -> SlowPost:
    """A body of 40 bytes of which one arrives."""
    return SlowPost(world, {**_token(world, user), "content-type": content_type, "content-length": "40"})


def _token(world: World, user: int) -> dict[str, str]:
    return {"authorization": f"Bearer {world.token(user)}"}


def _image(world: World, user: int, **headers: str) -> SlowPost:
    """A large image of which one byte arrives."""
    return SlowPost(
        world, {**_token(world, user), "content-type": "image/jpeg", "content-length": LARGE, **headers}
    )


async def _others_day(world: World) -> list[int]:
    """What another user gets meanwhile: a page, a follow, both kinds of uploads."""
    async with uploading(world, 2) as other:
        return [
            (await other.http.get("/v1/feed")).status_code,
            (await other.http.put("/v1/social/follow/3")).status_code,
            (await other.start(5)).status_code,
            (await other.send(b"12345")).status_code,
        ]


SERVED = [200, 204, 201, 202]


@pytest.mark.law("L14")
@pytest.mark.parametrize("content_type", ["application/json", "image/jpeg"])
async def test_slow_small_bodies_of_one_user_shut_out_nobody(content_type: str) -> None:
    """540 POSTs of 40 bytes that drip: before they are whole, they hold no slot. Most are 429 at once."""
    world = await make_world()
    posts = [_small(world, 1, content_type) for _ in range(540)]
    tasks = await start(posts)
    held = sum(post.status is None for post in posts)
    served = await _others_day(world)
    await disconnect(posts, tasks)

    assert served == SERVED
    assert held <= 103
    assert {post.status for post in posts} == {400, 429}


@pytest.mark.law("L14")
async def test_dripping_uploads_with_one_key_shut_out_nobody() -> None:
    """Of 16 connections with one key, one is served; the others are 409 at once."""
    world = await make_world()
    posts = [_image(world, 1, **{"idempotency-key": "k"}) for _ in range(16)]
    tasks = await start(posts)
    statuses = [post.status for post in posts]
    served = await _others_day(world)
    await disconnect(posts, tasks)

    assert served == SERVED
    assert statuses == [None] + [409] * 15


@pytest.mark.law("L14")
async def test_a_user_sends_two_images_at_once() -> None:
    """The third is 429, whatever its key. Another user's image is received."""
    world = await make_world()
    posts = [_image(world, 1, **{"idempotency-key": f"{number}"}) for number in range(16)]
    tasks = await start(posts)
    statuses = [post.status for post in posts]
    served = await _others_day(world)
    await disconnect(posts, tasks)

    assert served == SERVED
    assert statuses == [None] * 2 + [429] * 14
    assert posts[2].sent["retry-after"] == "1"


@pytest.mark.law("L14")
async def test_users_of_one_address_shut_out_nobody_elsewhere() -> None:
    """However many users an address has, it holds at most half of the slots."""
    world = await make_world()
    posts = [_image(world, user) for user in range(100, 140)]
    tasks = await start(posts)
    statuses = [post.status for post in posts]
    newcomer = _image(world, 1)
    newcomer.address = "192.0.2.2"
    tasks += await start([newcomer])
    waits = newcomer.status is None
    await disconnect([*posts, newcomer], tasks)

    assert (statuses.count(None), statuses.count(429), waits) == (8, 32, True)


async def test_a_small_body_has_the_time_of_its_request() -> None:
    """Then it is 408, and the connection is closed."""
    world = await make_world(request_deadline_ms=20)
    post = _small(world, 1)
    await post.run()

    assert (post.status, post.sent["connection"]) == (408, "close")


async def test_a_client_that_disconnects_leaves_its_slots() -> None:
    """Whatever it was doing."""
    world = await make_world(bodies_arriving_max=1, requests_in_flight_max=1, upload_bodies_in_flight_max=1)
    for post in (_small(world, 1), _image(world, 1)):
        await disconnect([post], await start([post]))
        assert post.status == 400

    assert await _others_day(world) == SERVED


async def test_without_a_valid_token_no_body_is_read() -> None:
    """The response is 401 at once."""
    world = await make_world()
    post = SlowPost(world, {"content-type": "application/json", "content-length": "40"})
    await post.run()

    assert (post.status, post.received) == (401, 0)


@pytest.mark.law("L14")
async def test_forms_of_strangers_hold_slots_of_bodies() -> None:
    """The token may be in the form of an operator's page, so it is read. All strangers are as one user."""
    world = await make_world(ops_open=True)
    headers = {"content-type": "application/x-www-form-urlencoded", "content-length": "40"}
    posts = [SlowPost(world, headers, path="/ops/dead-letters") for _ in range(540)]
    tasks = await start(posts)
    statuses = [post.status for post in posts]
    read = [post.received > 0 for post in posts]
    served = await _others_day(world)
    await disconnect(posts, tasks)

    assert served == SERVED
    assert {None, 429} == set(statuses)
    assert 0 < statuses.count(None) <= 103
    assert [status is None for status in statuses] == read


@pytest.mark.parametrize(("method", "path"), [("GET", "/ops"), ("GET", "/ops/lag"), ("PUT", "/ops/lag")])
async def test_only_forms_are_read_for_the_pages_of_operators(method: str, path: str) -> None:
    world = await make_world()
    post = SlowPost(world, {"content-length": "40"}, method=method, path=path)
    await post.run()

    assert post.status is not None
    assert 0 == post.received


class _Dripping:
    """A body of one byte for each pause of the client; the clock is set by hand."""

    def __init__(self, pause_s: float, piece: bytes = b"1") -> None:
        self.now_s = 0.0
        self._pause_s = pause_s
        self._piece = piece

    async def receive(self) -> dict[str, object]:
        self.now_s += self._pause_s
        return {"type": "http.request", "body": self._piece, "more_body": True}

    def body(self, bytes_max: int = 10_000) -> Received:
        bounds = BodyBounds(bytes_max, idle_s_max=15, bytes_per_s_min=100, slow_s_max=5)
        scope = {"headers": [(b"transfer-encoding", b"chunked")]}
        body = Received.of(scope, self.receive, bounds, lambda: self.now_s)
        assert body is not None
        return body


async def test_a_body_that_drips_is_408() -> None:
    """A byte each second is no pause that is too long, but too slow after the first seconds."""
    dripping = _Dripping(pause_s=1)
    body = dripping.body()
    for _ in range(6):
        await body()
    with pytest.raises(Problem, match="less than 100 bytes a second") as raised:
        await body()

    assert raised.value.status == HTTPStatus.REQUEST_TIMEOUT
    assert dripping.now_s == 6


async def test_a_body_at_the_minimum_rate_arrives() -> None:
    """Pauses are allowed while the average holds, and the time in which we do not read is ours."""
    dripping = _Dripping(pause_s=1, piece=b"1" * 100)
    body = dripping.body()
    for _ in range(100):
        await body()
        dripping.now_s += 60

    with pytest.raises(Problem, match="at most 10000 bytes"):
        await body()


@pytest.mark.law("L14")
async def test_the_bytes_of_aborted_uploads_are_limited() -> None:
    """As many as the uploads of a minute may have. With a key or without, then 429; a minute later the
    user may upload again. Another user notices nothing."""
    world = await make_world(upload_bytes_max=40, uploads_per_minute=5)

    def post(number: int) -> SlowPost:
        headers = {"content-type": "image/jpeg", "transfer-encoding": "chunked", "idempotency-key": "k"}
        if number % 2:
            del headers["idempotency-key"]
        return SlowPost(world, {**_token(world, 1), **headers}, first=b"1" * 40)

    statuses: list[int | None] = []
    for number in range(8):
        aborted = post(number)
        await disconnect([aborted], await start([aborted]))
        statuses.append(aborted.status)
    async with uploading(world) as me:
        refused = [await me.send(b"1"), await me.start(1)]
        served = await _others_day(world)
        world.clock.ms += 60_000
        later = [(await me.send(b"1")).status_code, (await me.start(1)).status_code]

    assert statuses == [400] * 5 + [429] * 3
    assert [response.status_code for response in refused] == [429] * 2
    assert int(refused[0].headers["retry-after"]) >= 1
    assert (served, later) == (SERVED, [202, 201])


@pytest.mark.law("L14")
@pytest.mark.parametrize(("body", "status"), [(b"1" * 40, 202), (b"2" * 40, 422)], ids=["same", "another"])
async def test_the_bytes_of_repeats_are_limited(body: bytes, status: int) -> None:
    """With a key that was used, a client could send images without end. Two repeats after lost responses
    are no harm."""
    world = await make_world(upload_bytes_max=40, uploads_per_minute=5)
    async with uploading(world) as me:
        first = await me.send(b"1" * 40, key="k")
        repeats = [(await me.send(body, key="k")).status_code for _ in range(8)]
        world.clock.ms += 60_000
        later = await me.send(b"1", key="another")

    assert (first.status_code, repeats, later.status_code) == (202, [status] * 5 + [429] * 3, 202)


async def test_uploads_that_a_store_fails_cost_no_bytes() -> None:
    """Otherwise our outage would be the user's fault."""
    world = await make_world(upload_bytes_max=40, uploads_per_minute=1)
    async with uploading(world) as me:
        world.fail("s3")
        failed = [(await me.send(b"1" * 30)).status_code for _ in range(4)]
        world.fail("s3", down=False)
        served = await me.send(b"1")

    assert (failed, served.status_code) == ([503] * 4, 202)


async def test_a_reader_with_many_slow_reads_shuts_out_nobody() -> None:
    """A user whose reads of the database hang waits alone."""
    world = await make_world(database_reads_in_flight_max=8)
    followed = world.stores.outgoing_edges.following
    go = asyncio.Event()

    async def slow(follower: UserId) -> object:
        if follower == 1:
            await go.wait()
        return await followed(follower)

    world.switches["outgoing_edges"].following = slow  # type: ignore[attr-defined]  # A slow partition.
    async with world.client(1) as client, world.client(2) as other:
        pages = [asyncio.create_task(client.get("/v1/feed")) for _ in range(60)]
        for _ in range(50):
            await asyncio.sleep(0)
        served = (await other.get("/v1/feed")).status_code
        go.set()
        statuses = {(await page).status_code for page in pages}

    assert (served, statuses) == (200, {200})
