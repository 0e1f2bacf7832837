"""Keys and tokens that are revoked, at two API processes on real servers, with a key set over HTTP."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from time import time
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bench.traffic.waiting import eventually
from infra.local import ports
from infra.local.deployment import Deployment
from tests.integration.conftest import DeploymentFactory
from tests.worlds.tokens import jwk, key_set

# The contract: everywhere within 30 s.
EFFECT_S_MAX = 30.0
FIRST, SECOND = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
AUDIENCE = "feed"


class Issuer:
    """Serves a key set; when `drips`, a byte every now and then, without end."""

    def __init__(self) -> None:
        self.document = key_set(jwk(FIRST, "first", alg="Ed25519", use=None), jwk(SECOND, "second"))
        self.drips = False
        self.dripping = asyncio.Event()
        self.address = ""
        self._tokens = count(1)

    def token(self, user: int, private: Any = FIRST, kid: str | None = "first", **claims: object) -> str:
        now_s = int(time())
        usual = {"sub": str(user), "aud": AUDIENCE, "iat": now_s - 60, "exp": now_s + 3_600}
        identified = {**usual, "jti": f"t{next(self._tokens)}", **claims}
        return jwt.encode(identified, private, "EdDSA", {} if kid is None else {"kid": kid})

    async def respond(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
            while self.drips:
                self.dripping.set()
                writer.write(b" ")
                await writer.drain()
                await asyncio.sleep(0.1)
            writer.write(self.document)
            await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass  # The API gave up.
        finally:
            writer.close()


@pytest.fixture
async def issuer() -> AsyncIterator[Issuer]:
    serving = Issuer()
    server = await asyncio.start_server(serving.respond, "127.0.0.1", 0)
    async with server:
        serving.address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/keys"
        yield serving
        serving.drips = False


@asynccontextmanager
async def _apis(deploy: DeploymentFactory, issuer: Issuer) -> AsyncIterator[tuple[Deployment, list[str]]]:
    """Two API processes that trust the issuer; yields their addresses."""
    deployment = deploy(jwks=issuer.address, jwt_audience=AUDIENCE, jwks_refresh_s=5)
    other = f"http://127.0.0.1:{ports.unused(())}"
    await asyncio.to_thread(deployment.start_api, "api")
    await asyncio.to_thread(deployment.start_api, "api-2", SHUTTERLINE_API=other)
    # `start_api` waits for the first one's address.
    await eventually("the second API is ready", lambda: _is_ready(other))
    yield deployment, [deployment.settings.api, other]


async def _is_ready(api: str) -> bool:
    async with httpx.AsyncClient(timeout=10) as client:
        try:
            return (await client.get(f"{api}/readyz")).status_code == 200
        except httpx.TransportError:
            return False


async def _statuses(apis: list[str], token: str) -> set[int]:
    async with httpx.AsyncClient(headers={"Authorization": f"Bearer {token}"}, timeout=10) as client:
        return {(await client.get(f"{api}/v1/users/1")).status_code for api in apis}


async def _revoke(deployment: Deployment, *arguments: str) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "shutterline", "revoke", *arguments),
        env={**os.environ, **deployment.environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()


async def test_what_is_revoked_is_401_at_every_process(deploy: DeploymentFactory, issuer: Issuer) -> None:
    """A token, a user's tokens, a key, in this order; what is not revoked stays valid throughout."""
    async with _apis(deploy, issuer) as (deployment, apis):
        mine, lost = issuer.token(1), issuer.token(1)
        unnamed, other_key = issuer.token(2, kid=None), issuer.token(3, SECOND, "second")
        for token in (mine, lost, unnamed, other_key):
            assert await _statuses(apis, token) == {200}

        async def is_refused(token: str) -> bool:
            return await _statuses(apis, token) == {401}

        await _revoke(deployment, "token", str(jwt.decode(lost, options={"verify_signature": False})["jti"]))
        await eventually("the token is refused", lambda: is_refused(lost), EFFECT_S_MAX)
        assert await _statuses(apis, mine) == {200}

        await _revoke(deployment, "user", "1", "--reason", "the laptop was stolen")
        await eventually("the user's token is refused", lambda: is_refused(mine), EFFECT_S_MAX)
        assert await _statuses(apis, issuer.token(1, iat=int(time()) + 2)) == {200}
        assert await _statuses(apis, unnamed) == {200}

        await _revoke(deployment, "key", "first")
        await eventually("the key is refused", lambda: is_refused(unnamed), EFFECT_S_MAX)
        assert await _statuses(apis, other_key) == {200}


async def test_a_key_that_left_the_set_is_401_at_every_process(
    deploy: DeploymentFactory, issuer: Issuer
) -> None:
    """Also after the source dripped, which delays no request; a set without a usable key changes nothing."""
    async with _apis(deploy, issuer) as (_, apis):
        removed, staying = issuer.token(1), issuer.token(2, SECOND, "second")
        issuer.drips = True
        await asyncio.wait_for(issuer.dripping.wait(), EFFECT_S_MAX)
        for token in (removed, staying):
            assert await _statuses(apis, token) == {200}
        issuer.drips = False

        issuer.document = key_set(jwk(SECOND, "second"), {"kty": "EC", "crv": []})

        async def is_refused() -> bool:
            return await _statuses(apis, removed) == {401}

        await eventually("the removed key is refused", is_refused, EFFECT_S_MAX)
        assert await _statuses(apis, staying) == {200}
