"""The keys that verify tokens; each key is bound to one algorithm."""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any, Protocol

import aiohttp
import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from streams.errors import StoreUnavailable
from streams.settings import TokenSettings

log = logging.getLogger(__name__)

# RFC 7518: an HMAC key is at least as long as the hash, which has 32 bytes for HS256.
SECRET_BYTES_MIN = 32
RSA_BITS_MIN = 2_048
FETCH_TIMEOUT_S = 1.0
KEY_SET_BYTES_MAX = 1_048_576
# The shortest time between two fetches. Without it, a client could cause a fetch with every
# request whose token names an unknown key id.
FETCH_PAUSE_S = 10.0
# A key that was removed from the set is accepted for at most this time.
KEY_SET_AGE_S_MAX = 600.0

_ALGORITHMS = {("RSA", None): "RS256", ("EC", "P-256"): "ES256", ("OKP", "Ed25519"): "EdDSA"}


@dataclass(frozen=True, slots=True)
class VerificationKey:
    """A key, and the only algorithm that it may be used with."""

    algorithm: str
    key: Any


class Keys(Protocol):
    async def key_for(self, kid: str | None) -> VerificationKey | None:
        """Return the key with that id, or None.

        Raises:
            StoreUnavailable: The key set has not been fetched, so it is not known which keys exist.
        """


@dataclass(frozen=True, slots=True)
class SecretKeys:
    """One HS256 secret, for local runs."""

    secret: bytes

    def __post_init__(self) -> None:
        if len(self.secret) < SECRET_BYTES_MIN:
            raise ValueError(
                f"SHUTTERLINE_JWT_SECRET has {len(self.secret)} bytes, but must have at least "
                f"{SECRET_BYTES_MIN}; or set SHUTTERLINE_JWKS"
            )

    async def key_for(self, kid: str | None) -> VerificationKey | None:
        return VerificationKey("HS256", self.secret)


class JwksKeys:
    """A JSON Web Key Set from a URL or a file. A set that is old or lacks the key is fetched again."""

    def __init__(
        self, fetch: Callable[[], Awaitable[bytes]], *, clock_s: Callable[[], float] = monotonic
    ) -> None:
        self._fetch = fetch
        self._clock_s = clock_s
        self._keys: dict[str | None, VerificationKey] | None = None
        self._fetched_s = 0.0
        self._tried_s: float | None = None
        self._turn = asyncio.Lock()

    async def key_for(self, kid: str | None) -> VerificationKey | None:
        if not self._knows(kid):
            async with self._turn:
                if not self._knows(kid) and self._may_try():
                    await self._refresh()
        if self._keys is None:
            raise StoreUnavailable("jwks", "fetch", "the key set has not been fetched yet")
        return self._keys.get(kid)

    def _knows(self, kid: str | None) -> bool:
        is_young = self._clock_s() - self._fetched_s <= KEY_SET_AGE_S_MAX
        return self._keys is not None and kid in self._keys and is_young

    def _may_try(self) -> bool:
        return self._tried_s is None or self._clock_s() - self._tried_s >= FETCH_PAUSE_S

    async def _refresh(self) -> None:
        self._tried_s = self._clock_s()
        try:
            self._keys = parse_key_set(await self._fetch())
            self._fetched_s = self._clock_s()
        except (OSError, ValueError, TimeoutError, aiohttp.ClientError) as error:
            log.warning("the key set could not be fetched; the last one stays in use: %r", error)


def parse_key_set(document: bytes) -> dict[str | None, VerificationKey]:
    """Return the usable keys of a JWK set by key id.

    If exactly one key is usable, it is also returned under None, for tokens without a key id.

    Raises:
        ValueError: The document is not a JWK set.
    """
    try:
        parsed = json.loads(document)
    except RecursionError:
        raise ValueError("the key set is nested too deeply") from None
    listed = parsed.get("keys") if isinstance(parsed, dict) else None
    if not isinstance(listed, list):
        raise ValueError("the key set must be an object with a list of keys")  # noqa: TRY004 - bad content.
    keys: dict[str | None, VerificationKey] = {}
    for jwk in listed:
        key = _usable(jwk) if isinstance(jwk, dict) else None
        if key is not None:
            keys[jwk.get("kid")] = key
    if len(keys) == 1:
        keys.setdefault(None, next(iter(keys.values())))
    return keys


def _usable(jwk: Mapping[str, Any]) -> VerificationKey | None:
    """Return a public signature key with an allowed algorithm, or None."""
    curve = None if jwk.get("kty") == "RSA" else jwk.get("crv")
    algorithm = _ALGORITHMS.get((str(jwk.get("kty")), curve))
    is_for_signatures = jwk.get("use", "sig") == "sig" and jwk.get("alg", algorithm) == algorithm
    # A key with "d" is a private key. A private key that a set publishes must not be trusted.
    if algorithm is None or not is_for_signatures or "d" in jwk:
        return None
    if not isinstance(jwk.get("kid"), str | None):
        return None
    try:
        key = jwt.PyJWK(dict(jwk), algorithm).key
    except jwt.PyJWTError:
        return None
    if isinstance(key, RSAPublicKey) and key.key_size < RSA_BITS_MIN:
        return None
    return VerificationKey(algorithm, key)


def keys_from(settings: TokenSettings) -> Keys:
    """Return the keys that the settings name: the key set if it is set, otherwise the local secret.

    Raises:
        ValueError: Neither is set, or the secret is too short.
    """
    if settings.jwks:
        return JwksKeys(lambda: _read(settings.jwks))
    return SecretKeys(settings.jwt_secret.get_secret_value().encode())


async def _read(address: str) -> bytes:
    """Read a key set from an HTTP address or a file.

    Raises:
        OSError, aiohttp.ClientError, TimeoutError: It could not be read.
        ValueError: It is too large.
    """
    if not address.startswith(("http://", "https://")):
        return await asyncio.to_thread(Path(address).read_bytes)
    timeout = aiohttp.ClientTimeout(total=FETCH_TIMEOUT_S)
    async with aiohttp.ClientSession(timeout=timeout) as session, session.get(address) as response:
        response.raise_for_status()
        document = await response.content.read(KEY_SET_BYTES_MAX + 1)
        while len(document) <= KEY_SET_BYTES_MAX and (chunk := await response.content.readany()):
            document += chunk
    if len(document) > KEY_SET_BYTES_MAX:
        raise ValueError(f"the key set has more than {KEY_SET_BYTES_MAX} bytes")
    return document
