"""Which responses the edge gives, and which requests it counts."""

import re
import time

import pytest

from bench.traffic.waiting import eventually
from infra.local.servers.s3 import MEDIA_BUCKET
from tests.integration.edge.photos import Photos, summed
from tests.integration.plain_http import ask


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
        """The shield must encode the key in its S3 signature exactly as S3 does. Otherwise an
        object with such a key could not be fetched."""
        photos.put(f"{key}/{name}", name.encode())

        answers = [await photos.view(f"{key}/{name}", edge) for edge in (0, 1)]

        assert [(answer.status, answer.body) for answer in answers] == [(200, name.encode())] * 2

    @pytest.mark.parametrize("name", ["..", ".", "a/../../b", "./a"])
    async def test_dots_lead_nowhere(self, photos: Photos, name: str) -> None:
        """An S3 server that stores objects as files might follow the dots to a file outside the
        bucket, so the edge refuses such a path."""
        assert (await photos.view(f"{name}/secret.jpg")).status == 403

    async def test_parts_of_an_object_are_served_on_a_miss_and_on_a_hit(
        self, photos: Photos, key: str
    ) -> None:
        """The caches fetch the whole object once and cut the requested ranges from it."""
        photos.put(key, b"0123456789")

        miss = await photos.view(key, headers={"Range": "bytes=2-4"})
        hit = await photos.view(key, headers={"Range": "bytes=-3"})
        beyond = await photos.view(key, headers={"Range": "bytes=10-"})

        assert (miss.status, miss.body, miss.headers["content-range"]) == (206, b"234", "bytes 2-4/10")
        assert (hit.status, hit.body, hit.cache) == (206, b"789", "HIT")
        assert beyond.status == 416

    async def test_head_has_the_headers_and_fills_the_cache(self, photos: Photos, key: str) -> None:
        """For a HEAD request the edge fetches the object with GET, so the next reader gets a cache
        hit."""
        photos.put(key, b"0123456789")

        head = await ask(photos.edges[0], await photos.sign(key), "HEAD")
        await eventually("it is cached", lambda: self._hits(photos, key))

        assert (head.status, head.headers["content-length"], head.body) == (200, "10", b"")

    async def _hits(self, photos: Photos, key: str) -> bool:
        answer = await photos.view(key)
        return (answer.cache, answer.body) == ("HIT", b"0123456789")

    async def test_a_reader_who_has_it_is_told_so(self, photos: Photos, key: str) -> None:
        """If `If-None-Match` names the cached object, the edge returns 304 without a body."""
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
        """`max-age` is the shorter of the URL's validity and the object's own limit. It is
        `private`, so no shared cache between edge and browser stores the photo."""
        photos.put(key, b"bytes", cache_control)
        target = await photos.sign(key, life_s=life_s)
        left_s = int(target.partition("Expires=")[2].partition("&")[0]) - time.time()

        answers = [await ask(photos.edges[0], target) for _ in range(2)]

        for answer in answers:
            match = re.fullmatch(r"private, max-age=(\d+)", answer.headers["cache-control"])
            assert match is not None
            assert least_s <= int(match[1]) <= min(most_s, left_s)

    async def test_what_is_not_to_be_stored_is_not(self, photos: Photos, key: str) -> None:
        """If an object has `Cache-Control: no-store`, neither the caches nor the browser store
        it."""
        photos.put(key, b"one", "no-store")
        first = await photos.view(key)
        photos.put(key, b"two", "no-store")
        second = await photos.view(key)

        assert (first.body, second.body) == (b"one", b"two")
        assert first.headers["cache-control"] == "private, no-store"

    async def test_an_answer_tells_nothing_of_the_store(self, photos: Photos, key: str) -> None:
        """A response has only the expected headers, none of S3's own, and an error page does not
        have S3's error text."""
        photos.put(key, b"bytes")
        missing = await photos.view(f"{key}.missing")
        for answer in (await photos.view(key), await photos.view(key), missing):
            assert set(answer.headers) <= {
                *("server", "date", "content-type", "content-length", "connection", "last-modified", "etag"),
                *(
                    "cache-control",
                    "x-cache",
                    "x-content-type-options",
                    "accept-ranges",
                    "content-security-policy",
                ),
            }
            assert answer.headers["server"] == "nginx"
        assert missing.status == 404
        assert b"Key" not in missing.body
        assert b"amz" not in missing.body
        assert MEDIA_BUCKET.encode() not in missing.body


class TestMetrics:
    async def test_requests_are_counted_by_what_the_cache_did(self, photos: Photos, key: str) -> None:
        """The metrics count hits, misses and bytes. The run folder has the address of the
        metrics."""
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
