"""Purging and refreshing objects in the shield and in the CDN edges."""

import asyncio
from collections.abc import Callable
from typing import NamedTuple
from urllib.parse import urlsplit

import aiohttp
import pytest

from streams.core.limits.breaker import Breaker
from streams.errors import StoreUnavailable
from streams.ports.cdn import Cdn
from streams.stores.cdn.purging import KEYS_A_REQUEST, HttpCdn
from streams.stores.memory.media import MemoryCdn

SHIELD, ONE, TWO = "http://shield", "http://one", "http://two"


class Request(NamedTuple):
    """A request that a cache received."""

    method: str
    url: str
    body: object

    @property
    def host(self) -> str:
        return urlsplit(self.url).netloc


class Caches:
    """A shield and two edges that record their requests; `respond` decides the status."""

    def __init__(self, respond: Callable[[Request], int]) -> None:
        self.requests: list[Request] = []
        self._respond = respond
        self.cdn = HttpCdn([SHIELD, ONE, TWO], self._send, Breaker(failures_max=2, open_s=60.0))

    async def _send(self, method: str, url: str, body: object) -> int:
        request = Request(method, url, body)
        self.requests.append(request)
        return self._respond(request)

    @property
    def hosts(self) -> list[str]:
        return [request.host for request in self.requests]


def down(request: Request) -> int:
    raise aiohttp.ClientConnectionError(f"{request.host} refused the connection")


async def test_the_shield_is_purged_before_any_edge() -> None:
    """Otherwise an edge that misses in between would fetch the shield's old object."""
    caches = Caches(lambda _: 204)

    await caches.cdn.purge(["a b/ü.jpg"])

    assert caches.requests[0] == Request("POST", "http://shield/purge", {"object_keys": ["a b/ü.jpg"]})
    assert sorted(caches.hosts[1:]) == ["one", "two"]
    assert [request.body for request in caches.requests] == [{"object_keys": ["a b/ü.jpg"]}] * 3


async def test_many_keys_are_sent_in_several_requests() -> None:
    """A CDN edge limits the size of a request's body."""
    caches = Caches(lambda _: 204)
    keys = [f"{number}" for number in range(KEYS_A_REQUEST + 1)]

    await caches.cdn.purge(keys)

    bodies = [request.body for request in caches.requests if request.host == "one"]
    assert [{"object_keys": keys[:KEYS_A_REQUEST]}, {"object_keys": keys[KEYS_A_REQUEST:]}] == bodies


@pytest.mark.parametrize("silent", ["shield", "one", "two"])
async def test_a_purge_fails_if_any_cache_does_not_respond(silent: str) -> None:
    """The caller that deletes a photo must then retry the purge."""
    caches = Caches(lambda request: down(request) if request.host == silent else 204)

    with pytest.raises(StoreUnavailable, match=rf"edge did not answer purge at http://{silent}"):
        await caches.cdn.purge(["a"])


async def test_a_refused_purge_fails() -> None:
    """A cache refuses, for example, a wrong secret; the error has the address and the status."""
    caches = Caches(lambda _: 403)

    with pytest.raises(StoreUnavailable, match=r"http://shield/purge: the status is 403"):
        await caches.cdn.purge(["a"])


async def test_the_breaker_opens_for_a_cache_that_does_not_respond() -> None:
    """After two failures no request is sent, so an outage costs no deadline for each photo."""
    caches = Caches(down)
    for _ in range(5):
        with pytest.raises(StoreUnavailable):
            await caches.cdn.purge(["a"])

    assert len(caches.requests) == 2


async def test_a_refresh_fills_the_shield_first_and_then_each_edge() -> None:
    """Each edge then finds the object in the shield, so S3 gets one request.

    The path is sent unchanged.
    """
    caches = Caches(lambda _: 200)

    assert await caches.cdn.refresh("/a%20b/%2B~%25.jpg")
    assert [request.url for request in caches.requests] == [
        f"{address}/objects/a%20b/%2B~%25.jpg" for address in (SHIELD, ONE, TWO)
    ]
    assert {(request.method, request.body) for request in caches.requests} == {("GET", None)}


async def test_a_refresh_of_a_deleted_object_returns_false() -> None:
    """The edges keep their cached object; only a purge removes it."""
    caches = Caches(lambda _: 404)

    assert not await caches.cdn.refresh("/gone.jpg")
    assert caches.hosts == ["shield"]


async def test_without_edges_there_is_nothing_to_purge() -> None:
    """This is the case if photos are served directly from a bucket."""

    async def send(method: str, url: str, body: object) -> int:
        raise AssertionError("no request was expected")

    await HttpCdn([], send, Breaker(1, 1.0)).purge(["a"])


def test_the_twin_records_what_was_purged() -> None:
    """The twin lists the keys in the order of the calls."""
    twin = MemoryCdn()
    port: Cdn = twin

    asyncio.run(port.purge(["a", "b"]))
    asyncio.run(port.purge(["a"]))

    assert twin.purged == ["a", "b", "a"]
