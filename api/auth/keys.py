"""Where the keys come from that tokens are signed with; each key is bound to one algorithm."""

import asyncio
import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any, Protocol

import httpx
import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from streams.errors import StoreUnavailable
from streams.settings import TokenSettings

log = logging.getLogger(__name__)

# RFC 7518: an HMAC key is at least as long as the hash.
SECRET_BYTES_MIN = 32
RSA_BITS_MIN = 2_048
FETCH_TIMEOUT_S = 1.0
KEY_SET_BYTES_MAX = 1_048_576
# A token with an unknown kid must not let anybody make us fetch at will.
FETCH_PAUSE_S = 10.0
# A key that was taken out of the set counts no longer than this.
KEY_SET_AGE_S_MAX = 600.0

_ALGORITHMS = {("RSA", None): "RS256", ("EC", "P-256"): "ES256", ("OKP", "Ed25519"): "EdDSA"}


@dataclass(frozen=True, slots=True)
class VerificationKey:
    """A key and the one algorithm that it may be used with."""

    algorithm: str
    key: Any


class Keys(Protocol):
    async def key_for(self, kid: str | None) -> VerificationKey | None:
        """The key of that id, None when there is none.

        Raises:
            StoreUnavailable: The key set could not be fetched, so nothing is known.
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
    """A JSON Web Key Set from a URL or a file, fetched again when a key is unknown or the set is old."""

    def __init__(self, fetch: Callable[[], bytes], *, clock_s: Callable[[], float] = monotonic) -> None:
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
            document = await asyncio.to_thread(self._fetch)
            self._keys = parse_key_set(document)
            self._fetched_s = self._clock_s()
        except (OSError, ValueError, httpx.HTTPError) as error:
            log.warning("the key set could not be fetched, the old one stays: %s", error)


def parse_key_set(document: bytes) -> dict[str | None, VerificationKey]:
    """The usable keys of a JWK set by kid; the only key of a set also goes without a kid.

    Raises:
        ValueError: It is no JWK set.
    """
    try:
        parsed = json.loads(document)
    except RecursionError:
        raise ValueError("the key set is nested too deeply") from None
    listed = parsed.get("keys") if isinstance(parsed, dict) else None
    if not isinstance(listed, list):
        raise ValueError("the key set must be an object with a list of keys")  # noqa: TRY004 - bad content.
    keys: dict[str | None, VerificationKey] = {}
    for each in listed:
        key = _usable(each) if isinstance(each, dict) else None
        if key is not None:
            keys[each.get("kid")] = key
    if len(keys) == 1:
        keys.setdefault(None, next(iter(keys.values())))
    return keys


def _usable(stated: Mapping[str, Any]) -> VerificationKey | None:
    """A public key for signatures with an algorithm that we allow; None otherwise."""
    curve = None if stated.get("kty") == "RSA" else stated.get("crv")
    algorithm = _ALGORITHMS.get((str(stated.get("kty")), curve))
    is_for_signatures = stated.get("use", "sig") == "sig" and stated.get("alg", algorithm) == algorithm
    # A set that publishes private halves is compromised.
    if algorithm is None or not is_for_signatures or "d" in stated:
        return None
    if not isinstance(stated.get("kid"), str | None):
        return None
    try:
        key = jwt.PyJWK(dict(stated), algorithm).key
    except jwt.PyJWTError:
        return None
    if isinstance(key, RSAPublicKey) and key.key_size < RSA_BITS_MIN:
        return None
    return VerificationKey(algorithm, key)


def keys_from(settings: TokenSettings) -> Keys:
    """The keys that the settings name: a key set if there is one, otherwise the local secret.

    Raises:
        ValueError: Neither is set, or the secret is too short.
    """
    if settings.jwks:
        return JwksKeys(lambda: _read(settings.jwks))
    return SecretKeys(settings.jwt_secret.get_secret_value().encode())


def _read(place: str) -> bytes:
    if not place.startswith(("http://", "https://")):
        return Path(place).read_bytes()
    answer = httpx.get(place, timeout=FETCH_TIMEOUT_S)
    answer.raise_for_status()
    if len(answer.content) > KEY_SET_BYTES_MAX:
        raise ValueError(f"the key set has {len(answer.content)} bytes, more than {KEY_SET_BYTES_MAX}")
    return answer.content
