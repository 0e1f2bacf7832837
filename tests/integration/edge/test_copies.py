"""What the edge caches: one fetch for all readers, stale objects during outages, refreshed and
purged objects."""

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any

import psutil
import pytest

from bench.traffic.waiting import eventually
from infra.local.servers.cache import CacheServer
from infra.local.servers.server import Server
from shutterline.commands.media.warm import warm
from streams.stores.cdn.purging import cdn
from tests.integration.edge.photos import (
    REQUESTS,
    Photos,
    clock_reaches,
)
from tests.integration.plain_http import ask


class TestOneFetch:
    @pytest.mark.law("L12")
    async def test_a_thousand_first_requests_over_two_edges_are_one_origin_fetch(
        self, photos: Photos, key: str
    ) -> None:
        """Whatever the signatures: the edges' misses meet in the shield, and there one of them fetches."""
        photos.put(key, b"bytes" * 4_000)
        before = await photos.fetches()

        answers = await photos.view_all(key, REQUESTS)

        assert {(answer.status, answer.body) for answer in answers} == {(200, b"bytes" * 4_000)}
        after = await photos.fetches()
        assert (after[0] - before[0], after[1] - before[1]) == (1, 1)

    async def test_a_thousand_requests_for_an_expired_copy_do_not_wait_and_fetch_once(
        self, photos: Photos, key: str
    ) -> None:
        """S3 hangs during the requests, so a request that waited for S3 would time out. All get the
        expired bytes, and afterwards one fetch brings the new bytes."""
        photos.put(key, b"old", "max-age=4")
        await photos.view_all(key, 2)
        stored_s = time.time()
        photos.put(key, b"new", "max-age=3600")
        await eventually("its copies are expired", clock_reaches(stored_s + 4 + 1.1))
        before = await photos.fetches()
        s3 = photos.stack.server("s3")
        s3.pause()
        try:
            answers = await photos.view_all(key, REQUESTS)
        finally:
            s3.resume()

        assert {(answer.status, answer.body) for answer in answers} == {(200, b"old")}
        assert {"STALE", "UPDATING"} & {answer.cache for answer in answers}
        for edge in (0, 1):
            await eventually("the new bytes are there", self._serves(photos, key, edge, b"new"))
        after = await photos.fetches()
        assert (after[0] - before[0], after[1] - before[1]) == (1, 1)

    def _serves(self, photos: Photos, key: str, edge: int, body: bytes) -> Callable[[], Any]:
        async def serves() -> bool:
            return (await photos.view(key, edge)).body == body

        return serves

    async def test_a_copy_is_no_longer_kept_for_passing_through_two_caches(
        self, photos: Photos, key: str
    ) -> None:
        """If an edge fetches an object late from the shield, it caches the object only for the rest
        of its `max-age`, not for the whole `max-age` again."""
        photos.put(key, b"old", "max-age=5")
        await photos.view(key, edge=0)
        fetched_s = time.time()
        await eventually("the shield's copy is four seconds old", clock_reaches(fetched_s + 4))
        assert (await photos.view(key, edge=1)).body == b"old"
        photos.put(key, b"new", "max-age=5")
        await eventually("it has expired, two seconds for rounding", clock_reaches(fetched_s + 5 + 2))

        assert (await photos.view(key, edge=1)).cache == "STALE"

    async def test_a_missing_object_is_asked_for_again_after_seconds(self, photos: Photos, key: str) -> None:
        """A 404 is cached only for seconds, so a request before the PUT cannot hide the object for
        long."""
        early = await photos.view_all(key, 50)
        photos.put(key, b"late")
        put_s = time.time()
        await eventually("it is seen", self._serves(photos, key, 0, b"late"))

        assert {(answer.status, answer.headers["cache-control"]) for answer in early} == {(404, "no-store")}
        # A 404 is cached for two seconds in the edge and for two in the shield. The rest is the
        # interval at which this test polls.
        assert time.time() - put_s < 4.5


class TestOutages:
    async def test_an_edge_serves_what_it_has_while_s3_is_down(self, photos: Photos, key: str) -> None:
        """A cached object is served even if it has expired. For an object that is not cached the
        status is 503, and no cache stores this error."""
        photos.put(key, b"kept", "max-age=1")
        await photos.view_all(key, 2)
        stored_s = time.time()
        await eventually("its copies are expired", clock_reaches(stored_s + 1 + 1.1))
        s3 = photos.stack.server("s3")
        s3.kill()
        try:
            kept = [await photos.view(key, edge) for edge in (0, 1) for _ in range(3)]
            unknown = await photos.view("never/seen.jpg")
        finally:
            s3.start()
            s3.wait_ready()

        assert {(answer.status, answer.body) for answer in kept} == {(200, b"kept")}
        assert (unknown.status, unknown.headers["cache-control"]) == (503, "no-store")

    async def test_an_edge_serves_what_it_has_while_the_shield_is_down(
        self, photos: Photos, key: str
    ) -> None:
        """There is only one shield, but objects that an edge has cached do not depend on it."""
        photos.put(key, b"kept", "max-age=1")
        await photos.view(key)
        stored_s = time.time()
        await eventually("its copy is expired", clock_reaches(stored_s + 1 + 1.1))
        shield = photos.stack.server("shield")
        shield.stop()
        try:
            answer = await photos.view(key)
        finally:
            shield.start()
            shield.wait_ready()

        assert (answer.status, answer.body) == (200, b"kept")

    async def test_workers_leave_with_a_master_that_is_killed(self, photos: Photos) -> None:
        """If the workers of a killed master continued to run, they would hold its port, and no
        process could stop them."""
        edge = photos.stack.server("edge-2")
        workers = psutil.Process(edge.pid).children()
        edge.kill()

        async def gone() -> bool:
            return not any(worker.is_running() and worker.status() != "zombie" for worker in workers)

        await eventually("they are gone", gone)
        edge.start()
        edge.wait_ready()


class TestWarm:
    async def test_the_most_viewed_are_hits_past_their_expiry(
        self, photos: Photos, key: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """`shutterline warm` fetches the most viewed objects again at every edge before they
        expire. Other objects expire."""
        top = photos.put(f"{key}.top", b"top", "max-age=9")
        other = photos.put(f"{key}.other", b"other", "max-age=9")
        # No other test views one object so often.
        await photos.view_all(top, REQUESTS + REQUESTS // 2)
        async with cdn(photos.settings) as caches:
            await caches.purge([top])
        # The other object is cached last, so when it has expired, the top object would have
        # expired, too, if nothing had refreshed it.
        stored_s = time.time()
        await photos.view_all(top, 2)
        await photos.view(other)
        for name, value in photos.stack.environment().items():
            monkeypatch.setenv(name, value)
        await eventually("the copies are old, and not expired", clock_reaches(stored_s + 4))
        await asyncio.to_thread(warm)
        await eventually("the other's copy is expired", self._stale(photos, other))

        assert [(await photos.view(top, edge)).cache for edge in (0, 1)] == ["HIT", "HIT"]

    def _stale(self, photos: Photos, key: str) -> Callable[[], Any]:
        async def stale() -> bool:
            return (await photos.view(key)).cache == "STALE"

        return stale

    async def test_only_who_has_the_secret_may_refresh(self, photos: Photos, key: str) -> None:
        """Every refresh costs a fetch from S3, so a request without the right secret is refused."""
        photos.put(key, b"bytes")
        for name in ("edge", "shield"):
            server = photos.stack.server(name)
            assert isinstance(server, CacheServer)
            answer = await ask(
                server.status_port, f"/objects/{key}", headers={"X-Shutterline-Edge": "guessed"}
            )

            assert answer.status == 403


class TestPurge:
    async def test_what_is_purged_is_asked_of_s3_again(self, photos: Photos, key: str) -> None:
        """After a purge, both edges fetch the object again at once: a deleted photo returns 404.
        Other objects stay cached."""
        keys = [photos.put(f"{key}/{name}", b"bytes") for name in ("thumb ü+%.jpg", "large.jpg", "other.jpg")]
        for key in keys:
            await photos.view_all(key, 2)
        for key in keys[:2]:
            photos.delete(key)
        async with cdn(photos.settings) as caches:
            await caches.purge(keys[:2])
            await caches.purge(keys[:2])

        gone = [(await photos.view(key, edge)).status for key in keys[:2] for edge in (0, 1)]
        other = [(await photos.view(keys[2], edge)).cache for edge in (0, 1)]

        assert gone == [404] * 4
        assert other == ["HIT", "HIT"]

    async def test_a_purged_copy_leaves_the_disk(self, photos: Photos, key: str) -> None:
        """A purge removes the file from the disk of the shield and of both edges."""
        photos.put(key, b"bytes that stand nowhere else: " + key.encode())
        await photos.view_all(key, 2)
        cache = [self._copies(photos, name, key) for name in ("shield", "edge", "edge-2")]
        async with cdn(photos.settings) as caches:
            await caches.purge([key])

        assert cache == [1, 1, 1]
        assert [self._copies(photos, name, key) for name in ("shield", "edge", "edge-2")] == [0, 0, 0]

    def _copies(self, photos: Photos, name: str, key: str) -> int:
        files = (photos.stack.server(name).data_dir / "cache").rglob("*")
        return sum(key.encode() in file.read_bytes() for file in files if file.is_file())

    async def test_a_fetch_under_way_does_not_bring_it_back(self, photos: Photos, key: str) -> None:
        """If a fetch began before the purge and ended after it, only its own request gets the old
        bytes; they are not cached.

        Shield and edge write the purge to disk. After that, they do not serve the old bytes even
        when they are started again.
        """
        photos.put(key, b"old")
        s3 = photos.stack.server("s3")
        before, _ = await photos.fetches()
        s3.pause()
        try:
            early = asyncio.create_task(photos.view(key))

            async def fetching() -> bool:
                asked = await photos.metric("shield", "shutterline_edge_origin_fetches_total")
                return asked == before + 1

            await eventually("the shield asks S3", fetching)
            async with cdn(photos.settings) as caches:
                await caches.purge([key])
        finally:
            s3.resume()
        first = await early
        photos.put(key, b"new")

        assert first.body == b"old"
        assert [(await photos.view(key, edge)).body for edge in (0, 1)] == [b"new", b"new"]
        for name in ("shield", "edge"):
            server = photos.stack.server(name)
            await eventually("the purge is written down", self._is_written(server, key))
            server.stop()
            server.start()
            server.wait_ready()
        assert (await photos.view(key)).body == b"new"

    def _is_written(self, server: Server, key: str) -> Callable[[], Any]:
        generations = server.data_dir / "tmp" / "generations.json"

        async def is_written() -> bool:
            return generations.exists() and key in generations.read_text()

        return is_written

    async def test_only_who_has_the_secret_may_purge(self, photos: Photos, key: str) -> None:
        """With an empty cache all requests would go to S3, so an attacker must not be able to
        purge."""
        photos.put(key, b"bytes")
        await photos.view(key)
        body = json.dumps({"object_keys": [key]}).encode()
        for name in ("edge", "shield"):
            server = photos.stack.server(name)
            assert isinstance(server, CacheServer)

            assert (await ask(server.status_port, "/purge", "POST", body=body)).status == 403
        assert (await photos.view(key)).cache == "HIT"
