"""Key sets as identity providers write them: which keys verify which tokens, and which are ignored."""

import json
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import given
from hypothesis import strategies as st

from api.auth.key_set import KEYS_MAX, parse_key_set
from api.auth.tokens import InvalidToken
from tests.worlds.tokens import (
    EC_KEY,
    ED_KEY,
    P384_KEY,
    RSA_KEY,
    KeySetSource,
    claims_of,
    jwk,
    jwks,
    key_set,
    make_verifier,
    part,
)

KEYS = {"rsa": RSA_KEY, "ec": EC_KEY, "p384": P384_KEY, "ed": ED_KEY}
ALL = [jwk(key, kid) for kid, key in KEYS.items()]
NULLS = {"use": None, "alg": None, "key_ops": None, "x5c": None}


async def accepts(keys: list[Any], private: Any, algorithm: str, kid: str | None) -> bool:
    """Whether a token that `private` signed is valid for a set of these keys."""
    headers = {} if kid is None else {"kid": kid}
    token = jwt.encode(claims_of(), private, algorithm, headers)
    try:
        return (await make_verifier(jwks(KeySetSource(*keys))).verify(token)).user_id == 7
    except InvalidToken:
        return False


@pytest.mark.parametrize("known_kid", [True, False])
@pytest.mark.parametrize(
    ("kid", "algorithm"),
    [
        *[("rsa", algorithm) for algorithm in ("RS256", "RS384", "RS512", "PS256")],
        ("ec", "ES256"),
        ("p384", "ES384"),
        ("ed", "EdDSA"),
        ("ed", "Ed25519"),
    ],
)
async def test_each_kind_of_key_verifies_with_its_algorithms(
    kid: str, algorithm: str, known_kid: bool
) -> None:
    """A token without `kid` is tried with every key that fits its algorithm."""
    assert await accepts(ALL, KEYS[kid], algorithm, kid if known_kid else None)


@pytest.mark.parametrize(
    ("key", "algorithm", "kid"),
    [
        (RSA_KEY, "RS256", "ec"),
        (RSA_KEY, "RS256", "unknown"),
        (RSA_KEY, "PS384", "rsa"),
        (RSA_KEY, "PS512", None),
        (rsa.generate_private_key(65_537, 2_048), "RS256", "rsa"),
        (rsa.generate_private_key(65_537, 2_048), "RS256", None),
        (ec.generate_private_key(ec.SECP521R1()), "ES512", None),
    ],
)
async def test_tokens_of_other_keys_or_algorithms_are_rejected(
    key: Any, algorithm: str, kid: str | None
) -> None:
    """Rejected are another key's signature, an unknown `kid`, and algorithms that no key allows."""
    assert not await accepts(ALL, key, algorithm, kid)


@pytest.mark.parametrize(
    ("named", "used", "good"),
    [
        ("RS256", "RS256", True),
        ("RS512", "RS512", True),
        ("PS256", "PS256", True),
        ("RS256", "RS512", False),
        ("PS256", "RS256", False),
    ],
)
async def test_a_key_that_names_its_algorithm_allows_no_other(named: str, used: str, good: bool) -> None:
    """Otherwise what the issuer forbids would be accepted."""
    assert good == await accepts([jwk(RSA_KEY, "a", alg=named)], RSA_KEY, used, "a")


@pytest.mark.parametrize("named", ["EdDSA", "Ed25519"])
@pytest.mark.parametrize("used", ["EdDSA", "Ed25519"])
async def test_both_names_of_ed25519_are_the_same(named: str, used: str) -> None:
    """RFC 9864 gave it a name of its own; issuers use either, in the set and in tokens."""
    assert await accepts([jwk(ED_KEY, "a", alg=named)], ED_KEY, used, "a")


@pytest.mark.parametrize("kid", ["a", None])
@pytest.mark.parametrize(
    "key", [jwk(RSA_KEY, "a", **NULLS), jwk(RSA_KEY, "a", use="sig", key_ops=["verify"])]
)
async def test_null_means_absent(key: dict[str, Any], kid: str | None) -> None:
    """Some providers write every member that they know."""
    assert await accepts([key], RSA_KEY, "RS256", kid)


async def test_keys_of_one_id_are_all_tried() -> None:
    """A set is a list: an issuer may use one id for a key of each type, or for an old and a new key."""
    keys = [
        jwk(rsa.generate_private_key(65_537, 2_048), "a"),
        jwk(EC_KEY, "a"),
        jwk(RSA_KEY, "a", use="enc"),
        jwk(RSA_KEY, "a"),
    ]

    assert await accepts(keys, RSA_KEY, "RS256", "a")
    assert await accepts(keys, EC_KEY, "ES256", "a")
    assert not await accepts(keys[:3], RSA_KEY, "RS256", "a")


async def test_a_key_without_an_id_is_for_tokens_without_one() -> None:
    """A token that names another key was not signed by this one."""
    assert await accepts([jwk(RSA_KEY)], RSA_KEY, "RS256", None)
    assert not await accepts([jwk(RSA_KEY)], RSA_KEY, "RS256", "a")


UNUSABLE: dict[str, tuple[object, str]] = {
    "other use": (jwk(RSA_KEY, "a", use="enc"), "use 'enc'"),
    "other operations": (jwk(RSA_KEY, "a", key_ops=["encrypt"]), "without verify"),
    "operations of another type": (jwk(RSA_KEY, "a", key_ops=7), "without verify"),
    "other algorithm": (jwk(RSA_KEY, "a", alg="RSA-OAEP"), "alg 'RSA-OAEP'"),
    "algorithm of another curve": (jwk(EC_KEY, "a", alg="ES384"), "alg 'ES384'"),
    "symmetric algorithm": (jwk(RSA_KEY, "a", alg="HS256"), "alg 'HS256'"),
    "algorithm of another type": (jwk(ED_KEY, "a", alg=["EdDSA"]), "alg ['EdDSA']"),
    "short": (jwk(rsa.generate_private_key(65_537, 1_024), "a"), "1024 bits"),
    "long": ({"kty": "RSA", "kid": "a", "e": "AQAB", "n": part(b"\xff" * 100_000)}, "800000 bits"),
    "other curve": (jwk(ec.generate_private_key(ec.SECP521R1()), "a"), "P-521"),
    "curve of another type": ({"kty": "EC", "crv": []}, "crv []"),
    "secret": ({"kty": "oct", "k": part(b"x" * 32), "kid": "a"}, "kty 'oct'"),
    "private": (jwt.algorithms.RSAAlgorithm.to_jwk(RSA_KEY, as_dict=True), "private"),
    "half": ({"kty": "RSA", "kid": "a", "n": "AQAB"}, "malformed"),
    "no number": ({"kty": "RSA", "n": [1], "e": "AQAB"}, "malformed"),
    "no text": ({"kty": "OKP", "crv": "Ed25519", "x": "\ud800"}, "malformed"),
    "no point": ({"kty": "EC", "crv": "P-256", "x": part(b"\0" * 32), "y": part(b"\0" * 32)}, "malformed"),
    "id of another type": ({**jwk(RSA_KEY), "kid": 7}, "not a string"),
    "type of another type": ({"kty": ["RSA"]}, "kty ['RSA']"),
    "empty": ({}, "kty None"),
    "no object": (["key"], "not an object"),
}


@pytest.mark.parametrize(("key", "reason"), UNUSABLE.values(), ids=UNUSABLE)
def test_an_unusable_key_is_ignored_and_named(key: object, reason: str) -> None:
    """The other keys of the set are used."""
    parsed = parse_key_set(key_set(key, jwk(RSA_KEY, "good")))

    assert ["good"] == [usable.kid for usable in parsed.keys]
    assert len(parsed.unusable) == 1
    assert reason in parsed.unusable[0]


@given(
    st.dictionaries(
        st.sampled_from(["kty", "crv", "kid", "use", "alg", "key_ops", "n", "e", "x", "y", "d"]),
        st.one_of(
            st.none(),
            st.booleans(),
            st.integers(),
            st.floats(allow_nan=False),
            st.text(max_size=50),
            st.sampled_from(
                ["RSA", "EC", "OKP", "P-256", "P-384", "Ed25519", "sig", "AQAB", "RS256", "EdDSA"]
            ),
            st.lists(st.text(max_size=3), max_size=2),
            st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
        ),
    )
)
def test_no_key_breaks_the_set(key: dict[str, object]) -> None:
    """Whatever a key's members are, the other keys are used."""
    assert "good" in [usable.kid for usable in parse_key_set(key_set(key, jwk(EC_KEY, "good"))).keys]


def test_a_set_has_a_size_limit() -> None:
    """A token without `kid` is tried with all keys, and anybody can send one."""
    parsed = parse_key_set(key_set(*[jwk(EC_KEY, str(number)) for number in range(KEYS_MAX + 2)]))

    assert len(parsed.keys) == KEYS_MAX
    assert parsed.unusable == [f"2 keys come after the first {KEYS_MAX}"]


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"[]",
        b"{}",
        b'{"keys":{}}',
        b"\xff",
        b"[" * 100_000,
        b'{"keys":[]}',
        key_set(None),
        key_set(jwk(RSA_KEY, "a", use="enc")),
        json.dumps({"keys": None}).encode(),
    ],
    ids=lambda document: repr(document[:20]),
)
def test_a_set_without_a_usable_key_is_rejected(document: bytes) -> None:
    """Parsing raises for the whole document, so the old set stays in use."""
    with pytest.raises(ValueError):  # noqa: PT011 - JSON's own error is one.
        parse_key_set(document)


def test_the_thumbprint_is_that_of_rfc_7638() -> None:
    """The example of RFC 7638, section 3.1."""
    key = {
        "kty": "RSA",
        "n": "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1"
        "L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4"
        "QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbO"
        "pbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csF"
        "Cur-kEgU8awapJzKnqDKgw",
        "e": "AQAB",
        "alg": "RS256",
        "kid": "2011-04-29",
    }

    assert parse_key_set(key_set(key)).keys[0].thumbprint == "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"
