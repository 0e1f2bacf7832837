"""Keys, key sets, tokens, and what verifies them."""

import json
from base64 import urlsafe_b64encode
from collections.abc import Callable
from time import monotonic
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from api.auth.jwks import JwksKeys
from api.auth.keys import Keys, SecretKeys
from api.auth.revoked import RevokedPoller
from api.auth.tokens import TokenVerifier
from streams.stores.memory.revocations import MemoryRevocations
from tests.worlds.api import NOW_MS, SECRET, media_key

NOW_S = NOW_MS // 1_000
RSA_KEY = media_key()
EC_KEY = ec.generate_private_key(ec.SECP256R1())
P384_KEY = ec.generate_private_key(ec.SECP384R1())
ED_KEY = ed25519.Ed25519PrivateKey.generate()
HS256 = {"alg": "HS256", "typ": "JWT"}


def jwk(private: Any, kid: str | None = None, **more: object) -> dict[str, Any]:
    """Return the public key as a member of a key set."""
    algorithm = {
        rsa.RSAPrivateKey: jwt.algorithms.RSAAlgorithm,
        ec.EllipticCurvePrivateKey: jwt.algorithms.ECAlgorithm,
    }
    kind: Any = next((kind for key, kind in algorithm.items() if isinstance(private, key)), None)
    public = (kind or jwt.algorithms.OKPAlgorithm).to_jwk(private.public_key(), as_dict=True)
    return {**public, **({} if kid is None else {"kid": kid}), **more}


def key_set(*keys: object) -> bytes:
    return json.dumps({"keys": list(keys)}).encode()


class KeySetSource:
    """A key set that can be changed or unavailable; counts the fetches."""

    def __init__(self, *keys: object) -> None:
        self.document: bytes | None = key_set(*keys)
        self.fetches = 0

    async def __call__(self) -> bytes:
        self.fetches += 1
        if self.document is None:
            raise OSError("unavailable")
        return self.document


def jwks(source: Any, *, clock_s: Callable[[], float] = monotonic, fetch_s_max: float = 5) -> JwksKeys:
    """Return keys with the settings' default limits; nothing fetches them by itself."""
    return JwksKeys(source, refresh_s=20, fetch_s_max=fetch_s_max, stale_s_max=3_600, clock_s=clock_s)


def make_verifier(keys: Keys | None = None, **overrides: Any) -> TokenVerifier:
    """Return a verifier of HS256 tokens, for which nothing is revoked."""
    parts: dict[str, Any] = {
        "keys": keys or SecretKeys(SECRET.encode()),
        "revoked": RevokedPoller(
            store=MemoryRevocations(lambda: NOW_MS), refresh_s=1, stale_s_max=float("inf")
        ),
        "issuer": "",
        "audience": "",
        "leeway_s": 30,
        "life_s_max": 86_400,
        "clock_us": lambda: NOW_MS * 1_000,
        **overrides,
    }
    return TokenVerifier(**parts)


def part(value: object) -> str:
    """Return a part of a token: base64url of these bytes or of this JSON."""
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def claims_of(**claims: object) -> dict[str, Any]:
    return {"sub": "7", "exp": NOW_S + 3_600, **claims}


def signed(header: object, payload: object) -> str:
    """Return a token with this header and payload and a valid HS256 signature."""
    head = f"{part(header)}.{part(payload)}"
    signature = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256).sign(
        head.encode(), SECRET.encode()
    )
    return f"{head}.{part(signature)}"
