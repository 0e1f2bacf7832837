"""What the edge serves with a valid signature: images, never an original; and how browsers may use them."""

from collections.abc import AsyncIterator, Mapping

import pytest

from infra.local import ports
from infra.local.servers.edge import EdgeServer
from infra.local.servers.s3 import MEDIA_BUCKET
from infra.local.servers.s3_gate import S3GateServer
from tests.integration.edge.photos import Photos, ports_of
from tests.integration.edge.test_store import BODY, SECRET, signed_put
from tests.integration.plain_http import ask

ORIGIN = "https://app.example"


class TestOriginals:
    @pytest.mark.law("L12")
    @pytest.mark.parametrize(
        "name",
        [
            "shutterline/originals/1",
            "shutterline-demo/originals/1",
            "shutterline/originals/1/",
            "shutterline//originals/1",
            "/shutterline/originals/1",
            "shutterline/",
            "shutterline/readyz",
            "shutterline/originals/renditions/1",
        ],
    )
    async def test_an_original_is_served_to_nobody(self, photos: Photos, name: str) -> None:
        """It has the GPS position of its author. Whatever was signed, by mistake or because an
        upstream event named it, only renditions of our own objects leave the edge, and the shield
        refuses the edges, too."""
        photos.put("shutterline/originals/1", SECRET)
        photos.put("shutterline-demo/originals/1", SECRET)
        before = await photos.fetches()

        seen = [await photos.view(name, edge) for edge in (0, 1)]
        secret = {"X-Shutterline-Edge": photos.settings.edge_secret.get_secret_value()}
        behind = await ask(photos.stack.server("shield").port, f"/{name}", headers=secret)

        assert [(answer.status, SECRET in answer.body) for answer in [*seen, behind]] == [(403, False)] * 3
        assert await photos.fetches() == before

    @pytest.mark.parametrize("name", ["shutterline/renditions/1/thumbnail-0.jpg", "shutterline2/originals/1"])
    async def test_renditions_and_objects_of_upstream_apps_are_served(
        self, photos: Photos, name: str
    ) -> None:
        """The rule is about this system's own prefixes, with and without a namespace."""
        photos.put(name, BODY)

        assert (await photos.view(name)).body == BODY


class TestTypes:
    @pytest.mark.parametrize(
        "content_type",
        ["text/html", "application/javascript", "application/octet-stream", "image", "x-image/png", "image/"],
    )
    async def test_what_is_no_image_is_refused(self, photos: Photos, key: str, content_type: str) -> None:
        """On a miss, on a hit, as a part, and by HEAD: the bytes stay behind the shield."""
        photos.s3.put_object(Bucket=MEDIA_BUCKET, Key=key, Body=b"<script>" * 9_000, ContentType=content_type)
        part = {"Range": "bytes=0-3"}

        answers = [await photos.view(key, edge, headers) for edge in (0, 1) for headers in ({}, part, {})]
        answers.append(await ask(photos.edges[0], await photos.sign(key), "HEAD"))

        assert [(answer.status, b"<script>" in answer.body) for answer in answers] == [(403, False)] * 7
        assert {answer.headers["cache-control"] for answer in answers} == {"no-store"}

    async def test_an_image_cannot_act_as_a_page(self, photos: Photos, key: str) -> None:
        """SVG can hold scripts. Opened as a page it runs none, and no browser guesses another type."""
        photos.s3.put_object(Bucket=MEDIA_BUCKET, Key=key, Body=b"<svg/>", ContentType="image/svg+xml")

        for answer in [await photos.view(key), await photos.view(key), await ask(photos.edges[0], f"/{key}")]:
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.headers["content-security-policy"] == "default-src 'none'; sandbox"

    async def test_a_large_image_passes_whole(self, photos: Photos, key: str) -> None:
        """The check of the type does not change the bytes, on a miss or on a hit."""
        body = bytes(range(256)) * 8_000
        photos.put(key, body)

        answers = [await photos.view(key, edge) for edge in (0, 0, 1)]

        assert [(answer.status, answer.body == body) for answer in answers] == [(200, True)] * 3


class TestPages:
    @pytest.fixture
    async def open_edge(self, photos: Photos, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[int]:
        """An edge that was started with SHUTTERLINE_CORS_ORIGINS."""
        monkeypatch.setenv("SHUTTERLINE_CORS_ORIGINS", f"{ORIGIN}, http://127.0.0.1:8000")
        known = {**ports_of(photos.stack), "edge-4": ports.unused(()), "edge-4_status": ports.unused(())}
        home = photos.stack.home
        server = EdgeServer(home, home.root, known, dies_with_parent=True, name="edge-4")
        server.start()
        try:
            server.wait_ready()
            yield server.port
        finally:
            server.stop()

    @pytest.fixture
    async def open_gate(self, photos: Photos, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[int]:
        """A gate of S3 that was started with SHUTTERLINE_CORS_ORIGINS."""
        monkeypatch.setenv("SHUTTERLINE_CORS_ORIGINS", ORIGIN)
        home, known = photos.stack.home, {**ports_of(photos.stack), "s3": ports.unused(())}
        server = S3GateServer(home, home.root, known, dies_with_parent=True, name="s3_gate-2")
        server.start()
        try:
            server.wait_ready()
            yield server.port
        finally:
            server.stop()

    async def test_a_page_of_a_configured_origin_may_read_photos(
        self, photos: Photos, key: str, open_edge: int
    ) -> None:
        """Another origin may not, and a shared cache is told that the answers differ."""
        photos.put(key, BODY)
        target = await photos.sign(key)
        origins = [ORIGIN, "http://127.0.0.1:8000", "https://elsewhere.example", "null", "constructor"]

        answers = [await ask(open_edge, target, headers={"Origin": origin}) for origin in origins]

        allowed = [answer.headers.get("access-control-allow-origin") for answer in answers]
        assert allowed == [*origins[:2], None, None, None]
        assert {(answer.status, answer.headers["vary"]) for answer in answers} == {(200, "Origin")}

    async def test_a_preflight_needs_a_configured_origin_and_no_signature(
        self, key: str, open_edge: int
    ) -> None:
        """It tells nothing of the object."""
        asked: Mapping[str, str] = {"Origin": ORIGIN, "Access-Control-Request-Method": "GET"}
        elsewhere = {**asked, "Origin": "https://elsewhere.example"}

        allowed = await ask(open_edge, f"/{key}", "OPTIONS", asked)
        refused = [
            await ask(open_edge, f"/{key}", "OPTIONS", headers)
            for headers in (elsewhere, {"Origin": ORIGIN}, {})
        ]

        assert (allowed.status, allowed.headers["access-control-allow-origin"]) == (204, ORIGIN)
        assert allowed.headers["access-control-allow-methods"] == "GET, HEAD"
        assert [answer.status for answer in refused] == [403, 403, 403]

    async def test_without_configured_origins_no_page_may_read(self, photos: Photos, key: str) -> None:
        """The default."""
        photos.put(key, BODY)
        headers = {"Origin": ORIGIN, "Access-Control-Request-Method": "GET"}

        read = await photos.view(key, headers=headers)
        preflight = await ask(photos.edges[0], await photos.sign(key), "OPTIONS", headers)

        assert (read.status, preflight.status) == (200, 403)
        assert not {"access-control-allow-origin", "vary"} & {*read.headers, *preflight.headers}

    async def test_a_page_of_a_configured_origin_may_put_an_upload(
        self, photos: Photos, key: str, open_gate: int
    ) -> None:
        """The preflight allows what a signed PUT has to send; other origins get 403."""
        target, headers = signed_put(photos, key)
        asked = {"Origin": ORIGIN, "Access-Control-Request-Method": "PUT"}

        preflight = await ask(open_gate, target, "OPTIONS", asked)
        refused = await ask(open_gate, target, "OPTIONS", {**asked, "Origin": "https://elsewhere.example"})
        host = {"Host": f"127.0.0.1:{photos.stack.port('s3')}"}
        put = await ask(open_gate, target, "PUT", {**headers, **host, "Origin": ORIGIN}, BODY)

        assert (preflight.status, refused.status, put.status) == (204, 403, 200)
        assert preflight.headers["access-control-allow-headers"] == "Content-Type, If-None-Match"
        assert put.headers["access-control-allow-origin"] == ORIGIN
        assert put.headers["access-control-expose-headers"] == "ETag"
