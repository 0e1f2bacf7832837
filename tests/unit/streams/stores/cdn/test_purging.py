"""Purging and refreshing, as it is asked of the shield and the edges."""

import asyncio
import json
from collections.abc import Callable

import httpx
import pytest

from streams.core.breaker import Breaker
from streams.errors import StoreUnavailable
from streams.ports.cdn import Cdn as Port
from streams.stores.cdn.purging import KEYS_A_REQUEST, HttpCdn
from streams.stores.memory.cdn import MemoryCdn

pytestmark = pytest.mark.anyio

SHIELD, ONE, TWO = "http://shield", "http://one", "http://two"


class Caches:
    """Three caches that write down what they are asked; `answer` decides what they say."""

    def __init__(self, answer: Callable[[httpx.Request], httpx.Response]) -> None:
        self.asked: list[httpx.Request] = []
        self._answer = answer
        transport = httpx.MockTransport(self._take)
        client = httpx.AsyncClient(transport=transport, headers={"X-Shutterline-Edge": "secret"})
        self.caches = HttpCdn([SHIELD, ONE, TWO], client, Breaker(failures_max=2, open_s=60.0))

    def _take(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        return self._answer(request)

    @property
    def hosts(self) -> list[str]:
        return [request.url.host for request in self.asked]


def down(request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("refused", request=request)


async def test_the_shield_is_purged_before_any_edge() -> None:
    """Otherwise an edge that misses in between would take the shield's old copy."""
    asked = Caches(lambda _: httpx.Response(204))

    await asked.caches.purge(["a b/ü.jpg"])

    assert asked.hosts[0] == "shield"
    assert sorted(asked.hosts[1:]) == ["one", "two"]
    assert [json.loads(request.content) for request in asked.asked] == [{"object_keys": ["a b/ü.jpg"]}] * 3
    assert {request.headers["X-Shutterline-Edge"] for request in asked.asked} == {"secret"}


async def test_many_keys_go_in_several_requests() -> None:
    """An edge takes bodies up to a limit."""
    asked = Caches(lambda _: httpx.Response(204))
    keys = [f"{number}" for number in range(KEYS_A_REQUEST + 1)]

    await asked.caches.purge(keys)

    of_one = [json.loads(each.content)["object_keys"] for each in asked.asked if each.url.host == "one"]
    assert [len(some) for some in of_one] == [KEYS_A_REQUEST, 1]
    assert [key for some in of_one for key in some] == keys


@pytest.mark.parametrize("silent", ["shield", "one", "two"])
async def test_a_purge_that_one_of_them_did_not_take_has_not_happened(silent: str) -> None:
    """Whoever deletes a photo has to purge it again."""
    asked = Caches(lambda request: down(request) if request.url.host == silent else httpx.Response(204))

    with pytest.raises(StoreUnavailable, match=rf"edge did not answer purge: http://{silent}"):
        await asked.caches.purge(["a"])


async def test_a_refused_purge_has_not_happened() -> None:
    """With a wrong secret, for one; the message names address and answer."""
    asked = Caches(lambda _: httpx.Response(403))

    with pytest.raises(StoreUnavailable, match=r"http://shield/purge answered 403"):
        await asked.caches.purge(["a"])


async def test_a_silent_edge_is_left_alone_for_a_while() -> None:
    """It costs one deadline, not one for each photo."""
    asked = Caches(down)
    for _ in range(5):
        with pytest.raises(StoreUnavailable):
            await asked.caches.purge(["a"])

    assert len(asked.asked) == 2


async def test_a_refresh_fills_the_shield_first_and_then_each_edge() -> None:
    """Each edge then finds it in the shield, so S3 is asked once; the path goes as the log has it."""
    asked = Caches(lambda _: httpx.Response(200, content=b"bytes"))

    assert await asked.caches.refresh("/a%20b/%2B~%25.jpg")
    assert [bytes(request.url.raw_path) for request in asked.asked] == [b"/objects/a%20b/%2B~%25.jpg"] * 3
    assert asked.hosts == ["shield", "one", "two"]


async def test_a_refresh_of_what_is_gone_says_so() -> None:
    """And does not take away what the edges have; that is for a purge to do."""
    asked = Caches(lambda _: httpx.Response(404))

    assert not await asked.caches.refresh("/gone.jpg")
    assert asked.hosts == ["shield"]


async def test_without_edges_there_is_nothing_to_purge() -> None:
    """Where photos are served straight from a bucket."""
    caches = HttpCdn([], httpx.AsyncClient(transport=httpx.MockTransport(down)), Breaker(1, 1.0))

    await caches.purge(["a"])


def test_the_twin_writes_down_what_was_purged() -> None:
    """In the order of the calls."""
    twin = MemoryCdn()
    port: Port = twin

    asyncio.run(port.purge(["a", "b"]))
    asyncio.run(port.purge(["a"]))

    assert twin.purged == ["a", "b", "a"]
