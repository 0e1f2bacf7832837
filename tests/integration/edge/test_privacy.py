"""What the edge does not disclose: to the shield, to S3 and to the logs."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence

import pytest

from bench.traffic.waiting import eventually
from infra.local import ports
from infra.local.credentials import load_or_make
from infra.local.servers.cache import CacheServer
from infra.local.servers.edge import EdgeServer
from infra.local.servers.shield import ShieldServer
from tests.integration.edge.photos import (
    FILES,
    Photos,
    ports_of,
)
from tests.integration.plain_http import ask


@pytest.fixture
async def behind() -> AsyncIterator[tuple[int, list[bytes]]]:
    """A server in the place of the shield or of S3; it records the requests that it receives."""
    heads: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\nContent-Length: 2\r\n\r\nok")
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1], heads
    server.close()


class TestPrivacy:
    async def test_nothing_of_a_request_goes_further_than_the_edge(
        self, photos: Photos, key: str, behind: tuple[int, list[bytes]]
    ) -> None:
        """The edge sends the shield only the object's path and its own secret: no cookies, tokens,
        addresses or signatures of the reader."""
        port, heads = behind
        names = {"shield": port, "edge-3": _free(), "edge-3_status": _free()}
        server = EdgeServer(
            photos.stack.home,
            photos.stack.home.root,
            {**ports_of(photos.stack), **names},
            dies_with_parent=True,
            name="edge-3",
        )
        await self._asked(server, await photos.sign(key))

        assert _header_names(heads) == {"host", "x-shutterline-edge"}
        assert heads[0].startswith(f"GET /{key} HTTP/1.1\r\n".encode())

    async def test_nothing_of_a_request_reaches_s3(
        self, photos: Photos, key: str, behind: tuple[int, list[bytes]]
    ) -> None:
        """S3 gets the shield's own signature. It gets neither the reader's headers nor the secret
        that the edges share."""
        port, heads = behind
        names = {"s3": port, "shield-2": _free(), "shield-2_status": _free()}
        server = ShieldServer(
            photos.stack.home,
            photos.stack.home.root,
            {**ports_of(photos.stack), **names},
            dies_with_parent=True,
            name="shield-2",
        )
        secret = load_or_make(photos.stack.home.secrets).edge_secret
        await self._asked(server, f"/{key}", {"X-Shutterline-Edge": secret})

        assert _header_names(heads) == {"host", "authorization", "x-amz-date", "x-amz-content-sha256"}
        assert secret.encode() not in heads[0]

    async def _asked(
        self, server: CacheServer, target: str, headers: Mapping[str, str] | None = None
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
        """A signature in a log lets anyone who reads the log fetch the photo for an hour."""
        photos.put(key, b"bytes")
        await photos.view(key)
        edge = photos.stack.server("edge")
        assert isinstance(edge, CacheServer)

        logged = [line for line in (edge.views_dir / "views.log").read_text().splitlines() if key in line]

        assert len(logged) == 1
        assert logged[0].endswith(f" MISS /{key}")
        assert "Signature" not in edge.log_file.read_text() + (edge.views_dir / "views.log").read_text()

    async def test_the_log_of_views_is_bounded(self, photos: Photos) -> None:
        """The log has eight files of 16 MiB. When one is full, the oldest is removed."""
        edge = photos.stack.server("edge-2")
        assert isinstance(edge, CacheServer)
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


def _free() -> int:
    return ports.unused(())


def _header_names(heads: Sequence[bytes]) -> set[str]:
    return {
        line.split(b":")[0].decode().lower() for head in heads for line in head.split(b"\r\n")[1:] if line
    }
