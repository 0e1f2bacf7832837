"""A JSON Web Key Set as a list of usable keys, with the reason why each other key is not usable."""

import json
from base64 import urlsafe_b64encode
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from api.auth.keys import VerificationKey
from schemas.quoting import quoted

# Above the maximum OpenSSL needs milliseconds for a signature, or refuses to check it.
RSA_BITS_MIN, RSA_BITS_MAX = 2_048, 8_192
# A token without a key id is tried with every key that fits its algorithm: 0.1 ms each.
KEYS_MAX = 100

# RFC 9864 names EdDSA by its curve. A key with either name allows tokens with either name.
ED25519_NAMES = frozenset({"EdDSA", "Ed25519"})
# PyJWT 2.15 knows only the older name. A later version refuses to take the newer one twice.
with suppress(ValueError):
    jwt.register_algorithm("Ed25519", jwt.algorithms.OKPAlgorithm())
# The algorithms of each type and curve. An RSA key that names no algorithm allows all of its type.
_ALGORITHMS: Mapping[tuple[str, str | None], frozenset[str]] = {
    ("RSA", None): frozenset({"RS256", "RS384", "RS512", "PS256"}),
    ("EC", "P-256"): frozenset({"ES256"}),
    ("EC", "P-384"): frozenset({"ES384"}),
    ("OKP", "Ed25519"): ED25519_NAMES,
}
# The members that RFC 7638 and RFC 8037 hash, in the order of their names.
_THUMBPRINT_MEMBERS = {"RSA": ("e", "kty", "n"), "EC": ("crv", "kty", "x", "y"), "OKP": ("crv", "kty", "x")}
# What PyJWT and cryptography raise for malformed numbers, points and texts.
_MALFORMED = (jwt.PyJWTError, UnsupportedAlgorithm, ArithmeticError, LookupError, TypeError, ValueError)


class UnusableKey(Exception):
    """The message says why a key of the set cannot verify tokens."""


@dataclass(frozen=True, slots=True)
class KeySet:
    """The usable keys in the order of the set, and one sentence for each unusable key."""

    keys: Sequence[VerificationKey]
    unusable: Sequence[str]

    def find(self, kid: str | None, algorithm: str) -> Sequence[VerificationKey]:
        """Return the keys with this id that allow the algorithm; without an id, all that allow it."""
        return [key for key in self.keys if algorithm in key.algorithms and kid in (None, key.kid)]


def parse_key_set(document: bytes) -> KeySet:
    """Return the keys of a JWK set.

    Raises:
        ValueError: The document is not a JWK set, or it has no usable key.
    """
    try:
        parsed = json.loads(document)
    except RecursionError:
        raise ValueError("the key set is nested too deeply") from None
    listed = parsed.get("keys") if isinstance(parsed, dict) else None
    if not isinstance(listed, list):
        raise ValueError("the key set must be an object with a list of keys")  # noqa: TRY004 - bad content.
    keys, unusable = list[VerificationKey](), list[str]()
    for jwk in listed[:KEYS_MAX]:
        try:
            keys.append(_usable(jwk))
        except UnusableKey as error:
            unusable.append(f"{_name(jwk)} {error}")
    if len(listed) > KEYS_MAX:
        unusable.append(f"{len(listed) - KEYS_MAX} keys come after the first {KEYS_MAX}")
    if not keys:
        raise ValueError(f"the key set has no usable key: {'; '.join(unusable[:5]) or 'it is empty'}")
    return KeySet(keys, unusable)


def _usable(jwk: object) -> VerificationKey:
    """Return a public signature key with an allowed algorithm.

    Raises:
        UnusableKey: It is something else.
    """
    if not isinstance(jwk, dict):
        raise UnusableKey("is not an object")
    # Identity providers write null for what a key does not have.
    members = {name: value for name, value in jwk.items() if value is not None}
    kid = members.get("kid")
    if not isinstance(kid, str | None):
        raise UnusableKey("has a kid that is not a string")
    algorithms = _algorithms(members)
    # A private key that a set publishes must not be trusted.
    if "d" in members:
        raise UnusableKey("is a private key")
    if members.get("use", "sig") != "sig":
        raise UnusableKey(f"has use {quoted(members['use'])}, not sig")
    if "key_ops" in members and "verify" not in _listed(members["key_ops"]):
        raise UnusableKey(f"has key_ops {quoted(members['key_ops'])}, without verify")
    # PyJWT makes the same key for all algorithms of a type and a curve.
    name = "EdDSA" if algorithms & ED25519_NAMES else min(algorithms)
    try:
        key = jwt.PyJWK(members, name).key
        thumbprint = _thumbprint(members)
    except _MALFORMED as error:
        raise UnusableKey(f"is malformed: {quoted(str(error))}") from None
    if isinstance(key, RSAPublicKey) and not RSA_BITS_MIN <= key.key_size <= RSA_BITS_MAX:
        raise UnusableKey(f"has {key.key_size} bits, but must have {RSA_BITS_MIN} to {RSA_BITS_MAX}")
    return VerificationKey(kid=kid, thumbprint=thumbprint, algorithms=algorithms, key=key)


def _algorithms(members: Mapping[str, Any]) -> frozenset[str]:
    """Return the algorithms that the key allows: the one that it names, or all of its type and curve."""
    kind = members.get("kty")
    curve = None if kind == "RSA" else members.get("crv")
    known = (
        _ALGORITHMS.get((kind, curve)) if isinstance(kind, str) and isinstance(curve, str | None) else None
    )
    if known is None:
        raise UnusableKey(f"has kty {quoted(kind)} and crv {quoted(curve)}, which are not supported")
    named = members.get("alg")
    if named is None or (known is ED25519_NAMES and isinstance(named, str) and named in ED25519_NAMES):
        return known
    if not isinstance(named, str) or named not in known:
        raise UnusableKey(f"has alg {quoted(named)}, which is not supported for its type")
    return frozenset({named})


def _thumbprint(members: Mapping[str, Any]) -> str:
    """Return the SHA-256 thumbprint of RFC 7638, in base64url."""
    hashed = {name: members[name] for name in _THUMBPRINT_MEMBERS[members["kty"]]}
    canonical = json.dumps(hashed, separators=(",", ":"), sort_keys=True).encode()
    return urlsafe_b64encode(sha256(canonical).digest()).rstrip(b"=").decode()


def _listed(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _name(jwk: object) -> str:
    return f"key {quoted(jwk.get('kid'))}" if isinstance(jwk, dict) else quoted(jwk)
