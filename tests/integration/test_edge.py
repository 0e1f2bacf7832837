"""The edge: photos by signed URLs from a closed bucket, each fetched from it once for everybody.

Servers are killed and paused here, so these tests have a stack of their own: S3, the shield and two edges.
"""

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any
from uuid import uuid4

import botocore.session
import psutil  # type: ignore[import-untyped]  # It ships no types and the lock has no stubs.
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from rich.console import Console

from api.signing import UrlSigner, load_media_key
from infra.local import ports
from infra.local.credentials import load_or_make
from infra.local.edge_server import EdgeServer
from infra.local.media_keys import MediaKey
from infra.local.nginx_server import NginxServer
from infra.local.s3_server import MEDIA_BUCKET, REGION
from infra.local.server import Server
from infra.local.shield_server import ShieldServer
from infra.local.stack import Stack
from streams import cli_warm
from streams.settings import Settings
from streams.stores.edge_caches import edge_caches
from tests.integration.plain_http import Answer, ask, target_of

pytestmark = pytest.mark.anyio

DEADLINE_S = 30.0
REQUESTS = 1_000
SIGNATURES = 7
LONG = "max-age=3600"
FILES = 8  # upkeep.js


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    made = Stack(tmp_path_factory.mktemp("edge"), dies_with_parent=True)
    made.choose_ports()
    for name in ("s3", "shield", "edge"):
        made.server(name).start()
    for name in ("s3", "shield", "edge"):
        made.server(name).wait_ready()
    made.start_edge("edge-2")
    yield made
    made.stop()


@dataclass(frozen=True)
class Photos:
    """What the tests do with the stack: put objects, sign URLs, ask, count."""

    stack: Stack
    s3: Any

    @property
    def edges(self) -> Sequence[int]:
        return [self.stack.server(name).port for name in ("edge", "edge-2")]

    @property
    def settings(self) -> Settings:
        environment = self.stack.environment()
        return Settings.model_validate(
            {name.removeprefix("SHUTTERLINE_").lower(): value for name, value in environment.items()}
        )

    def put(self, key: str, body: bytes, cache_control: str | None = LONG) -> str:
        """Put an object; answers its key."""
        more = {} if cache_control is None else {"CacheControl": cache_control}
        self.s3.put_object(Bucket=MEDIA_BUCKET, Key=key, Body=body, ContentType="image/jpeg", **more)
        return key

    def delete(self, key: str) -> None:
        self.s3.delete_object(Bucket=MEDIA_BUCKET, Key=key)

    async def sign(
        self, key: str, *, life_s: int = 1_800, signed_with: MediaKey | None = None, base: str = ""
    ) -> str:
        """The target of a URL that is valid for `life_s`; the newest key signs unless another is given."""
        media_key = signed_with or load_or_make(self.stack.home.secrets).media_keys[0]
        signer = UrlSigner(
            media_url=base or self.settings.media_url,
            key_id=media_key.key_id,
            private_key=private_key(media_key),
            life_s_min=life_s,
            life_s_max=life_s + 1,
            clock_us=lambda: time.time_ns() // 1_000,
            count=lambda kept, signed: None,
        )
        return target_of((await signer.urls([key]))[key])

    async def view(self, key: str, edge: int = 0, headers: Mapping[str, str] | None = None) -> Answer:
        return await ask(self.edges[edge], await self.sign(key), headers=headers)

    async def view_all(self, key: str, requests: int) -> list[Answer]:
        """As many requests at once, over several signatures and both edges."""
        targets = [await self.sign(key, life_s=1_800 + number) for number in range(SIGNATURES)]
        return await asyncio.gather(
            *(
                ask(self.edges[number % 2], targets[number % SIGNATURES], headers={"Cookie": f"u={number}"})
                for number in range(requests)
            )
        )

    async def metric(self, server: str, sample: str) -> int:
        """Of one server, the sum of the samples that begin so."""
        nginx = self.stack.server(server)
        assert isinstance(nginx, NginxServer)
        return summed(await ask(nginx.status_port, "/metrics"), sample)

    async def fetches(self) -> tuple[int, int]:
        """How often the shield asked S3, and how often S3 was asked for an object."""
        of_s3 = await ask(self.stack.server("s3").port, "/metrics")
        lines = [line for line in of_s3.body.decode().splitlines() if 'operation="GetObject"' in line]
        counts = [line for line in lines if line.startswith("http_server_request_duration_seconds_count")]
        asked = await self.metric("shield", "shutterline_edge_origin_fetches_total")
        return asked, sum(int(float(line.rsplit(" ", 1)[1])) for line in counts)


@cache
def private_key(key: MediaKey) -> RSAPrivateKey:
    return load_media_key(key.private_key)


def summed(metrics: Answer, sample: str) -> int:
    lines = metrics.body.decode().splitlines()
    return sum(int(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(sample))


@pytest.fixture(scope="module")
def photos(stack: Stack) -> Iterator[Photos]:
    credentials = load_or_make(stack.home.secrets)
    client = s3_client(stack, credentials.s3_access_key, credentials.s3_secret_key)
    yield Photos(stack, client)
    client.close()


def s3_client(stack: Stack, access_key: str, secret_key: str) -> Any:
    return botocore.session.get_session().create_client(
        "s3",
        region_name=REGION,
        endpoint_url=f"http://127.0.0.1:{stack.port('s3')}",
        aws_access_key_id=access_key,
        aws_secret_access_key=secret_key,
        config=Config(s3={"addressing_style": "path"}, signature_version="s3v4"),
    )


@pytest.fixture
def key() -> str:
    """An object key of this test alone."""
    return f"renditions/{uuid4().hex}/thumbnail.jpg"


async def eventually(claim: str, true: Callable[[], Any]) -> None:
    """Ask until the answer is true; say what was awaited when it is not."""
    deadline = time.monotonic() + DEADLINE_S
    while not await true():
        assert time.monotonic() < deadline, f"not within {DEADLINE_S} s: {claim}"
        await asyncio.sleep(0.1)


def clock_reaches(moment_s: float) -> Callable[[], Any]:
    async def reached() -> bool:
        return time.time() >= moment_s

    return reached


class TestOneFetch:
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
        """S3 hangs meanwhile, so whoever waited for it would not be answered; then the new bytes come."""
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
        """An edge that asks the shield late gets what is left of the object's life, not all of it again."""
        photos.put(key, b"old", "max-age=5")
        await photos.view(key, edge=0)
        fetched_s = time.time()
        await eventually("the shield's copy is four seconds old", clock_reaches(fetched_s + 4))
        assert (await photos.view(key, edge=1)).body == b"old"
        photos.put(key, b"new", "max-age=5")
        await eventually("it has expired, two seconds for rounding", clock_reaches(fetched_s + 5 + 2))

        assert (await photos.view(key, edge=1)).cache == "STALE"

    async def test_a_missing_object_is_asked_for_again_after_seconds(self, photos: Photos, key: str) -> None:
        """Nobody may keep it from being seen by asking too early."""
        early = await photos.view_all(key, 50)
        photos.put(key, b"late")
        put_s = time.time()
        await eventually("it is seen", self._serves(photos, key, 0, b"late"))

        assert {(answer.status, answer.headers["cache-control"]) for answer in early} == {(404, "no-store")}
        # Two seconds in the edge, two in the shield, and how often this test looks.
        assert time.time() - put_s < 4.5


class TestOutages:
    async def test_an_edge_serves_what_it_has_while_s3_is_down(self, photos: Photos, key: str) -> None:
        """Also when it has expired; what it never had is a failure that no cache keeps."""
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
        assert (unknown.status, unknown.headers["cache-control"]) == (502, "no-store")

    async def test_an_edge_serves_what_it_has_while_the_shield_is_down(
        self, photos: Photos, key: str
    ) -> None:
        """The one shield is no single point of failure for what has been seen."""
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
        """Otherwise they would hold its port for ever, and nobody could tell them to go."""
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
        """`shutterline warm` fetches them again in time, through every edge; the others expire."""
        top = photos.put(f"{key}.top", b"top", "max-age=9")
        other = photos.put(f"{key}.other", b"other", "max-age=9")
        await photos.view_all(top, REQUESTS + REQUESTS // 2)  # More than any other test views one object.
        async with edge_caches(photos.settings) as caches:
            await caches.purge([top])
        # So that the other one's copy is the youngest of the three.
        stored_s = time.time()
        await photos.view_all(top, 2)
        await photos.view(other)
        for name, value in photos.stack.environment().items():
            monkeypatch.setenv(name, value)
        await eventually("the copies are old, and not expired", clock_reaches(stored_s + 4))
        await asyncio.to_thread(cli_warm.warm, Console(quiet=True))
        await eventually("the other's copy is expired", self._stale(photos, other))

        assert [(await photos.view(top, edge)).cache for edge in (0, 1)] == ["HIT", "HIT"]

    def _stale(self, photos: Photos, key: str) -> Callable[[], Any]:
        async def stale() -> bool:
            return (await photos.view(key)).cache == "STALE"

        return stale

    async def test_only_who_has_the_secret_may_refresh(self, photos: Photos, key: str) -> None:
        """It costs a fetch from S3."""
        photos.put(key, b"bytes")
        for name in ("edge", "shield"):
            server = photos.stack.server(name)
            assert isinstance(server, NginxServer)
            answer = await ask(
                server.status_port, f"/objects/{key}", headers={"X-Shutterline-Edge": "guessed"}
            )

            assert answer.status == 403


class TestRefusals:
    @pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "DELETE", "PURGE", "OPTIONS", "TRACE"])
    @pytest.mark.parametrize(
        "target",
        [
            "/",
            "/KEY",
            "/healthz/",
            "/metrics",
            "/purge",
            "/objects/KEY",
            "/refused",
            "/%00",
            "/..",
            "/%zz",
            "*",
        ],
    )
    async def test_nothing_is_there_without_a_signature(
        self, photos: Photos, key: str, method: str, target: str
    ) -> None:
        """Whether an object exists is nobody's business either, and the secret of the edges opens nothing."""
        photos.put(key, b"bytes")
        secret = load_or_make(photos.stack.home.secrets).edge_secret

        answer = await ask(
            photos.edges[0], target.replace("KEY", key), method, headers={"X-Shutterline-Edge": secret}
        )

        assert answer.status == 403

    @pytest.mark.parametrize(
        ("method", "status"), [("GET", 200), ("HEAD", 200), ("POST", 403), ("DELETE", 403)]
    )
    async def test_health_is_open_to_readers(self, photos: Photos, method: str, status: int) -> None:
        """The one path that needs no signature."""
        assert (await ask(photos.edges[0], "/healthz", method)).status == status

    @pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
    async def test_a_signature_is_for_reading(self, photos: Photos, key: str, method: str) -> None:
        """Of GET and HEAD; of anything else it is none."""
        photos.put(key, b"bytes")

        assert (await ask(photos.edges[0], await photos.sign(key), method)).status == 403

    async def test_a_url_is_good_for_what_was_signed_alone(self, photos: Photos, key: str) -> None:
        """Every change of it is refused, on an object that is there and cached."""
        photos.put(key, b"bytes")
        other = photos.put(f"{key}.other", b"other")
        good = await photos.sign(key)
        path, _, query = good.partition("?")
        expires, signature, key_id = query.split("&")
        flipped = signature[:-2] + ("A" if signature[-2] != "A" else "B") + signature[-1]
        later = f"Expires={int(expires.removeprefix('Expires=')) + 1}"
        forged = {
            "another path": f"/{other}?{query}",
            "a path spelt otherwise": f"{path.replace('r', '%72', 1)}?{query}",
            "a longer life": f"{path}?{later}&{signature}&{key_id}",
            "another signature": f"{path}?{expires}&{flipped}&{key_id}",
            "an empty signature": f"{path}?{expires}&Signature=&{key_id}",
            "an unknown key": f"{path}?{expires}&{signature}&Key-Pair-Id=KNOWN",
            "a key that objects have": f"{path}?{expires}&{signature}&Key-Pair-Id=constructor",
            "no expiry": f"{path}?{signature}&{key_id}",
            "no signature": f"{path}?{expires}&{key_id}",
            "no key": f"{path}?{expires}&{signature}",
            "a policy instead": f"{path}?Policy=e30_&{signature}&{key_id}",
            "a policy too": f"{good}&Policy=e30_",
            "something more": f"{good}&x=1",
            "something empty": f"{good}&",
            "an expiry twice": f"{path}?{expires}&{query}",
            "a signature twice": f"{good}&{signature}",
            "a second question mark": f"{good}?",
            "another letter case": good.replace("Expires", "expires"),
            "an expiry in words": f"{path}?Expires=1e12&{signature}&{key_id}",
        }
        assert (await ask(photos.edges[0], good)).status == 200

        answers = {name: (await ask(photos.edges[0], target)).status for name, target in forged.items()}

        assert answers == dict.fromkeys(forged, 403)

    async def test_a_url_expires(self, photos: Photos, key: str) -> None:
        """At the second that it says, though the edge has the object."""
        photos.put(key, b"bytes")
        target = await photos.sign(key, life_s=2)
        expires_s = int(target.partition("Expires=")[2].partition("&")[0])
        fresh = await ask(photos.edges[0], target)
        await eventually("it has expired", clock_reaches(expires_s))

        assert (fresh.status, (await ask(photos.edges[0], target)).status) == (200, 403)

    async def test_the_host_header_has_no_say(self, photos: Photos, key: str) -> None:
        """A URL signed for another site is refused also by a client that says it is there."""
        photos.put(key, b"bytes")
        elsewhere = await photos.sign(key, base="http://elsewhere.example")

        assert (await ask(photos.edges[0], elsewhere, headers={"Host": "elsewhere.example"})).status == 403
        assert (await photos.view(key, headers={"Host": "elsewhere.example"})).status == 200

    async def test_a_refusal_costs_no_fetch_and_is_counted(self, photos: Photos, key: str) -> None:
        """Who guesses does not reach S3."""
        refused = await photos.metric("edge", 'shutterline_edge_requests_total{role="edge",result="refused"}')
        before = await photos.fetches()

        await asyncio.gather(*(ask(photos.edges[0], f"/{key}?Expires=9") for _ in range(20)))

        again = await photos.metric("edge", 'shutterline_edge_requests_total{role="edge",result="refused"}')
        assert (again - refused, await photos.fetches()) == (20, before)

    async def test_the_shield_answers_edges_alone(self, photos: Photos, key: str) -> None:
        """It asks for no signature, so it must not be asked by anybody else."""
        photos.put(key, b"bytes")
        secret = load_or_make(photos.stack.home.secrets).edge_secret
        port = photos.stack.server("shield").port

        assert (await ask(port, f"/{key}")).status == 403
        assert (await ask(port, f"/{key}", headers={"X-Shutterline-Edge": secret[:-1]})).status == 403
        assert (await ask(port, "/", headers={"X-Shutterline-Edge": secret})).status == 403
        assert (await ask(port, "/a/../b", headers={"X-Shutterline-Edge": secret})).status == 403
        assert (await ask(port, f"/{key}", headers={"X-Shutterline-Edge": secret})).body == b"bytes"

    async def test_the_shields_key_can_only_read(self, photos: Photos, key: str) -> None:
        """What an intruder there could do is what everybody's photos cost anyway."""
        photos.put(key, b"bytes")
        credentials = load_or_make(photos.stack.home.secrets)
        client = s3_client(photos.stack, credentials.s3_read_access_key, credentials.s3_read_secret_key)
        with client.get_object(Bucket=MEDIA_BUCKET, Key=key)["Body"] as body:
            read = body.read()
        with pytest.raises(ClientError):
            client.put_object(Bucket=MEDIA_BUCKET, Key=key, Body=b"other")
        with pytest.raises(ClientError):
            client.delete_object(Bucket=MEDIA_BUCKET, Key=key)
        client.close()

        assert read == b"bytes"
        assert (await photos.view(key)).body == b"bytes"


class TestKeys:
    async def test_two_keys_are_valid_at_a_time_and_no_request_is_lost_in_between(
        self, photos: Photos, key: str
    ) -> None:
        """The newest signs; the one before stays good until the next rotation, then its URLs are refused."""
        photos.put(key, b"bytes")
        first = load_or_make(photos.stack.home.secrets).media_keys[0]
        of_first = await photos.sign(key, signed_with=first)
        statuses: list[int] = []
        rotating = asyncio.Event()

        async def viewer(edge: int) -> None:
            while not rotating.is_set():
                statuses.append((await ask(photos.edges[edge], of_first)).status)

        viewers = [asyncio.create_task(viewer(number % 2)) for number in range(8)]
        second = await asyncio.to_thread(photos.stack.rotate_media_key)
        rotating.set()
        await asyncio.gather(*viewers)
        of_second = await photos.sign(key, signed_with=second)
        after_one = [(await ask(edge, url)).status for edge in photos.edges for url in (of_first, of_second)]
        await asyncio.to_thread(photos.stack.rotate_media_key)
        after_two = [(await ask(edge, url)).status for edge in photos.edges for url in (of_first, of_second)]

        assert set(statuses) == {200}
        assert len(statuses) > 8
        assert after_one == [200, 200, 200, 200]
        assert after_two == [403, 200, 403, 200]
        written = photos.stack.home.environment_file.read_text()
        assert (
            f"SHUTTERLINE_MEDIA_KEY_ID={load_or_make(photos.stack.home.secrets).media_keys[0].key_id}\n"
            in written
        )


class TestAnswers:
    @pytest.mark.parametrize(
        "name",
        [
            "a b",
            "a+b",
            "100%25",
            "50%",
            "ü/日本/🙂",
            "~tilde",
            "a=b&c?d#e",
            "x//y",
            "back\\slash",
            "!'()*;:@$,[]",
        ],
    )
    async def test_a_key_may_hold_any_characters(self, photos: Photos, key: str, name: str) -> None:
        """What upstream apps put is found again, signed for S3 as S3 spells it."""
        photos.put(f"{key}/{name}", name.encode())

        answers = [await photos.view(f"{key}/{name}", edge) for edge in (0, 1)]

        assert [(answer.status, answer.body) for answer in answers] == [(200, name.encode())] * 2

    @pytest.mark.parametrize("name", ["..", ".", "a/../../b", "./a"])
    async def test_dots_lead_nowhere(self, photos: Photos, name: str) -> None:
        """A store that keeps objects as files might follow them out of the bucket."""
        assert (await photos.view(f"{name}/secret.jpg")).status == 403

    async def test_parts_of_an_object_are_served_on_a_miss_and_on_a_hit(
        self, photos: Photos, key: str
    ) -> None:
        """The caches fetch it whole, once."""
        photos.put(key, b"0123456789")

        miss = await photos.view(key, headers={"Range": "bytes=2-4"})
        hit = await photos.view(key, headers={"Range": "bytes=-3"})
        beyond = await photos.view(key, headers={"Range": "bytes=10-"})

        assert (miss.status, miss.body, miss.headers["content-range"]) == (206, b"234", "bytes 2-4/10")
        assert (hit.status, hit.body, hit.cache) == (206, b"789", "HIT")
        assert beyond.status == 416

    async def test_head_has_the_headers_and_fills_the_cache(self, photos: Photos, key: str) -> None:
        """S3 is asked with GET; the next reader finds the bytes."""
        photos.put(key, b"0123456789")

        head = await ask(photos.edges[0], await photos.sign(key), "HEAD")
        await eventually("it is cached", lambda: self._hits(photos, key))

        assert (head.status, head.headers["content-length"], head.body) == (200, "10", b"")

    async def _hits(self, photos: Photos, key: str) -> bool:
        answer = await photos.view(key)
        return (answer.cache, answer.body) == ("HIT", b"0123456789")

    async def test_a_reader_who_has_it_is_told_so(self, photos: Photos, key: str) -> None:
        """An If-None-Match is answered by the edge."""
        photos.put(key, b"bytes")
        first = await photos.view(key)

        again = await photos.view(key, headers={"If-None-Match": first.headers["etag"]})

        assert (again.status, again.body) == (304, b"")
        assert again.headers["cache-control"].startswith("private, max-age=")

    @pytest.mark.parametrize(
        ("cache_control", "life_s", "least_s", "most_s"),
        [
            ("public, max-age=31536000, immutable", 100, 95, 101),
            ("max-age=40", 1_800, 40, 40),
            (None, 1_800, 60, 60),
            ("max-age=31536000", 5, 0, 6),
        ],
    )
    async def test_a_browser_keeps_it_no_longer_than_its_url_is_valid_and_the_object_says(
        self, photos: Photos, key: str, cache_control: str | None, life_s: int, least_s: int, most_s: int
    ) -> None:
        """And no cache on the way keeps it at all."""
        photos.put(key, b"bytes", cache_control)
        target = await photos.sign(key, life_s=life_s)
        left_s = int(target.partition("Expires=")[2].partition("&")[0]) - time.time()

        answers = [await ask(photos.edges[0], target) for _ in range(2)]

        for answer in answers:
            match = re.fullmatch(r"private, max-age=(\d+)", answer.headers["cache-control"])
            assert match is not None
            assert least_s <= int(match[1]) <= min(most_s, left_s)

    async def test_what_is_not_to_be_stored_is_not(self, photos: Photos, key: str) -> None:
        """The object's own word counts, in every cache."""
        photos.put(key, b"one", "no-store")
        first = await photos.view(key)
        photos.put(key, b"two", "no-store")
        second = await photos.view(key)

        assert (first.body, second.body) == (b"one", b"two")
        assert first.headers["cache-control"] == "private, no-store"

    async def test_an_answer_tells_nothing_of_the_store(self, photos: Photos, key: str) -> None:
        """Neither its headers nor, when something fails, its words."""
        photos.put(key, b"bytes")
        missing = await photos.view(f"{key}.missing")
        for answer in (await photos.view(key), await photos.view(key), missing):
            assert set(answer.headers) <= {
                *("server", "date", "content-type", "content-length", "connection", "last-modified", "etag"),
                *("cache-control", "x-cache", "x-content-type-options", "accept-ranges"),
            }
            assert answer.headers["server"] == "nginx"
        assert missing.status == 404
        assert b"Key" not in missing.body
        assert b"amz" not in missing.body
        assert MEDIA_BUCKET.encode() not in missing.body


@pytest.fixture
async def behind() -> AsyncIterator[tuple[int, list[bytes]]]:
    """A server that keeps what it is asked, in the place of the shield or of S3."""
    heads: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nCache-Control: max-age=9\r\n\r\nok")
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1], heads
    server.close()


class TestPrivacy:
    async def test_nothing_of_a_request_goes_further_than_the_edge(
        self, photos: Photos, key: str, behind: tuple[int, list[bytes]]
    ) -> None:
        """Neither cookies nor tokens, addresses or signatures: an edge asks the shield for an object."""
        port, heads = behind
        names = {"shield": port, "edge-3": _free(), "edge-3_status": _free()}
        server = EdgeServer(
            photos.stack.home,
            photos.stack.home.root,
            {**_ports(photos.stack), **names},
            dies_with_parent=True,
            name="edge-3",
        )
        await self._asked(server, await photos.sign(key))

        assert _header_names(heads) == {"host", "x-shutterline-edge"}
        assert heads[0].startswith(f"GET /{key} HTTP/1.1\r\n".encode())

    async def test_nothing_of_a_request_reaches_s3(
        self, photos: Photos, key: str, behind: tuple[int, list[bytes]]
    ) -> None:
        """It sees the shield's own signature, and not the secret that the edges have."""
        port, heads = behind
        names = {"s3": port, "shield-2": _free(), "shield-2_status": _free()}
        server = ShieldServer(
            photos.stack.home,
            photos.stack.home.root,
            {**_ports(photos.stack), **names},
            dies_with_parent=True,
            name="shield-2",
        )
        secret = load_or_make(photos.stack.home.secrets).edge_secret
        await self._asked(server, f"/{key}", {"X-Shutterline-Edge": secret})

        assert _header_names(heads) == {"host", "authorization", "x-amz-date", "x-amz-content-sha256"}
        assert secret.encode() not in heads[0]

    async def _asked(
        self, server: NginxServer, target: str, headers: Mapping[str, str] | None = None
    ) -> None:
        private = {"Cookie": "session=1", "Authorization": "Bearer x", "X-Forwarded-For": "10.0.0.1"}
        server.start()
        try:
            server.wait_ready()
            answer = await ask(
                server.port, target, headers={**private, "User-Agent": "me", **(headers or {})}
            )
        finally:
            server.stop()
        assert answer.status == 200

    async def test_the_log_has_what_was_viewed_and_nothing_signed(self, photos: Photos, key: str) -> None:
        """A signature in a log is a way to the photo for whoever reads it, for an hour."""
        photos.put(key, b"bytes")
        await photos.view(key)
        edge = photos.stack.server("edge")
        assert isinstance(edge, NginxServer)

        logged = [line for line in (edge.views_dir / "views.log").read_text().splitlines() if key in line]

        assert len(logged) == 1
        assert logged[0].endswith(f" MISS /{key}")
        assert "Signature" not in edge.log_file.read_text() + (edge.views_dir / "views.log").read_text()

    async def test_the_log_of_views_is_bounded(self, photos: Photos) -> None:
        """Eight files of 16 MiB; the oldest goes when one is full."""
        edge = photos.stack.server("edge-2")
        assert isinstance(edge, NginxServer)
        log = edge.views_dir / "views.log"
        oldest = log.with_name(f"views.log.{FILES - 1}")
        for number in range(1, FILES):
            log.with_name(f"views.log.{number}").write_text(f"{number}\n")
        log.write_bytes(b"\n" * (16 * 1024 * 1024))

        async def turned() -> bool:
            return oldest.read_text() == f"{FILES - 2}\n"

        await eventually("it has turned", turned)
        assert not log.exists()
        assert len(list(edge.views_dir.iterdir())) == FILES - 1


def _ports(stack: Stack) -> dict[str, int]:
    names = ("s3", "shield", "shield_status", "edge", "edge_status")
    return {name: port for name in names if (port := stack.port(name)) is not None}


def _free() -> int:
    return ports.unused(())


def _header_names(heads: Sequence[bytes]) -> set[str]:
    return {
        line.split(b":")[0].decode().lower() for head in heads for line in head.split(b"\r\n")[1:] if line
    }


class TestPurge:
    async def test_what_is_purged_is_asked_of_s3_again(self, photos: Photos, key: str) -> None:
        """At every edge and at once; a deleted photo is gone, others stay."""
        keys = [photos.put(f"{key}/{name}", b"bytes") for name in ("thumb ü+%.jpg", "large.jpg", "other.jpg")]
        for each in keys:
            await photos.view_all(each, 2)
        for each in keys[:2]:
            photos.delete(each)
        async with edge_caches(photos.settings) as caches:
            await caches.purge(keys[:2])
            await caches.purge(keys[:2])

        gone = [(await photos.view(each, edge)).status for each in keys[:2] for edge in (0, 1)]
        other = [(await photos.view(keys[2], edge)).cache for edge in (0, 1)]

        assert gone == [404] * 4
        assert other == ["HIT", "HIT"]

    async def test_a_purged_copy_leaves_the_disk(self, photos: Photos, key: str) -> None:
        """Of every cache."""
        photos.put(key, b"bytes that stand nowhere else: " + key.encode())
        await photos.view_all(key, 2)
        copies = [self._copies(photos, name, key) for name in ("shield", "edge", "edge-2")]
        async with edge_caches(photos.settings) as caches:
            await caches.purge([key])

        assert copies == [1, 1, 1]
        assert [self._copies(photos, name, key) for name in ("shield", "edge", "edge-2")] == [0, 0, 0]

    def _copies(self, photos: Photos, name: str, key: str) -> int:
        files = (photos.stack.server(name).data_dir / "cache").rglob("*")
        return sum(key.encode() in file.read_bytes() for file in files if file.is_file())

    async def test_a_fetch_under_way_does_not_bring_it_back(self, photos: Photos, key: str) -> None:
        """It was asked for before the purge and answered after it; nobody else gets those bytes.

        Neither does an edge find them that is started again, once it has written down what was purged.
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
            async with edge_caches(photos.settings) as caches:
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
        """Emptying a cache is an attack on what lies behind it."""
        photos.put(key, b"bytes")
        await photos.view(key)
        body = json.dumps({"object_keys": [key]}).encode()
        for name in ("edge", "shield"):
            server = photos.stack.server(name)
            assert isinstance(server, NginxServer)

            assert (await ask(server.status_port, "/purge", "POST", body=body)).status == 403
        assert (await photos.view(key)).cache == "HIT"


class TestMetrics:
    async def test_requests_are_counted_by_what_the_cache_did(self, photos: Photos, key: str) -> None:
        """At the address that the run folder names."""
        photos.put(key, b"x" * 10_000)
        run = photos.stack.home.run
        port = int((run / "edge.metrics").read_text().rsplit(":", 1)[1])
        samples = [
            'shutterline_edge_requests_total{role="edge",result="miss"}',
            'shutterline_edge_requests_total{role="edge",result="hit"}',
            'shutterline_edge_bytes_sent_total{role="edge"}',
        ]
        before = await ask(port, "/metrics")
        for _ in range(3):
            await photos.view(key)
        after = await ask(port, "/metrics")

        counted = [summed(after, sample) - summed(before, sample) for sample in samples]
        assert counted[:2] == [1, 2]
        assert 30_000 < counted[2] < 35_000
        assert (run / "shield.metrics").exists()
