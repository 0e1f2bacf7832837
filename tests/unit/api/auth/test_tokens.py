"""Bearer tokens: which ones authenticate a caller, and which are rejected."""

import json
from base64 import urlsafe_b64encode
from collections.abc import Awaitable, Callable
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from api.auth.keys import (
    FETCH_PAUSE_S,
    KEY_SET_AGE_S_MAX,
    JwksKeys,
    Keys,
    SecretKeys,
    keys_from,
    parse_key_set,
)
from api.auth.tokens import TOKEN_CACHED_CHARS_MAX, TOKEN_CHARS_MAX, InvalidToken, TokenVerifier
from schemas.ids import ID_MAX
from streams.errors import StoreUnavailable
from streams.settings import Settings
from tests.worlds.api import NOW_MS, SECRET, make_world, media_key

NOW_S = NOW_MS // 1_000
RSA_KEY = media_key()
EC_KEY = ec.generate_private_key(ec.SECP256R1())
ED_KEY = ed25519.Ed25519PrivateKey.generate()


def _jwk(private: Any, kid: str | None, **more: object) -> dict[str, Any]:
    algorithm = {
        rsa.RSAPrivateKey: jwt.algorithms.RSAAlgorithm,
        ec.EllipticCurvePrivateKey: jwt.algorithms.ECAlgorithm,
    }
    kind: Any = next((kind for key, kind in algorithm.items() if isinstance(private, key)), None)
    public = (kind or jwt.algorithms.OKPAlgorithm).to_jwk(private.public_key(), as_dict=True)
    return {**public, **({} if kid is None else {"kid": kid}), **more}


def _key_set(*keys: dict[str, Any]) -> bytes:
    return json.dumps({"keys": list(keys)}).encode()


def _verifier(keys: Keys | None = None, **overrides: Any) -> TokenVerifier:
    parts: dict[str, Any] = {
        "keys": keys or SecretKeys(SECRET.encode()),
        "issuer": "",
        "audience": "",
        "leeway_s": 30,
        "life_s_max": 86_400,
        "clock_us": lambda: NOW_MS * 1_000,
        **overrides,
    }
    return TokenVerifier(**parts)


def _part(value: object) -> str:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def _claims(**claims: object) -> dict[str, Any]:
    return {"sub": "7", "exp": NOW_S + 3_600, **claims}


def _signed(header: object, payload: object) -> str:
    """Return a token with this header and payload and a valid signature."""
    head = f"{_part(header)}.{_part(payload)}"
    signature = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256).sign(
        head.encode(), SECRET.encode()
    )
    return f"{head}.{_part(signature)}"


HS256 = {"alg": "HS256", "typ": "JWT"}


@pytest.mark.parametrize(
    "claims",
    [
        {},
        {"exp": NOW_S - 29},
        {"exp": NOW_S + 86_400},
        {"exp": NOW_S + 0.5},
        {"iat": NOW_S + 29, "nbf": NOW_S + 29},
        {"aud": "somebody else", "iss": "anybody"},
        {"roles": ["ops", "other"]},
        {"sub": str(ID_MAX)},
    ],
)
async def test_a_good_token_names_its_caller(claims: dict[str, object]) -> None:
    """Times may differ by the leeway of 30 s, and a token may be valid for a day. Issuer and
    audience are checked only if configured."""
    caller = await _verifier().verify(_signed(HS256, _claims(**claims)))

    assert caller.user_id == int(str(claims.get("sub", "7")))
    # `roles` is a list in every parameter above.
    assert caller.roles == frozenset(claims.get("roles", []))  # type: ignore[call-overload]


@pytest.mark.parametrize("typ", ["JWT", "jwt", "at+jwt", "AT+JWT", "application/at+jwt"])
async def test_known_token_types_are_accepted(typ: str) -> None:
    """RFC 8725, section 3.11, recommends explicit types. Plain JWTs and access tokens are
    accepted."""
    assert (await _verifier().verify(_signed({"alg": "HS256", "typ": typ}, _claims()))).user_id == 7


BAD_CLAIMS: list[object] = [
    *[_claims(exp=exp) for exp in (NOW_S - 30, NOW_S + 86_431, str(NOW_S + 60), True, None, [7], -1)],
    {"sub": "7"},
    {"exp": NOW_S + 60},
    *[_claims(iat=iat) for iat in (NOW_S + 31, "1", None, True)],
    *[_claims(nbf=nbf) for nbf in (NOW_S + 31, "1", False)],
    *[
        _claims(sub=sub)
        for sub in (
            7,
            7.0,
            True,
            None,
            "",
            "0",
            "-1",
            "+7",
            " 7",
            "7 ",
            "07",
            "7_0",
            "\u0667",
            "7.0",
            "1e3",
            ["7"],
        )
    ],
    _claims(sub=str(ID_MAX + 1)),
    *[_claims(roles=roles) for roles in ("ops", ["ops", 1], {"ops": True}, 1, None)],
    [],
    "text",
    7,
    b"",
    b"not json",
    b"\xff\xfe",
    b'{"sub":"7","exp":1e400}',
    b'{"sub":"7","exp":NaN}',
    b'{"sub":"7","exp":Infinity}',
    b'{"sub":"7","exp":1' + b"0" * 400 + b"}",
    b'{"sub":"7","exp":1' + b"0" * 5_000 + b"}",
    b"[" * 5_000,
    b'{"a":' * 1_000 + b"1" + b"}" * 1_000,
]


@pytest.mark.parametrize("payload", BAD_CLAIMS, ids=lambda payload: repr(payload)[:60])
async def test_invalid_claims_are_rejected(payload: object) -> None:
    """A token with a valid signature but wrong times, wrong types or no subject raises
    InvalidToken."""
    with pytest.raises(InvalidToken):
        await _verifier().verify(_signed(HS256, payload))


BAD_HEADERS: list[object] = [
    {"alg": "none"},
    {"alg": "None"},
    {"alg": "HS384"},
    {"alg": "HS512"},
    {"alg": "RS256"},
    {"alg": ["HS256"]},
    {"alg": None},
    {"typ": "JWT"},
    {"alg": "HS256", "typ": "secevent+jwt"},
    {"alg": "HS256", "typ": 1},
    {"alg": "HS256", "typ": None},
    {"alg": "HS256", "crit": ["exp"], "exp": 1},
    {"alg": "HS256", "crit": []},
    {"alg": "HS256", "crit": ["b64"], "b64": False},
    {"alg": "HS256", "crit": ["b64"], "b64": True},
    {"alg": "HS256", "b64": False},
    {"alg": "HS256", "kid": 1},
    {"alg": "HS256", "kid": {"a": 1}},
    [],
    "HS256",
    b"",
    b"{",
    b"[" * 5_000,
]


@pytest.mark.parametrize("header", BAD_HEADERS, ids=lambda header: repr(header)[:60])
async def test_invalid_headers_are_rejected(header: object) -> None:
    """Rejected are other algorithms, no algorithm, unknown extensions and other types of token."""
    with pytest.raises(InvalidToken):
        await _verifier().verify(_signed(header, _claims()))


@pytest.mark.parametrize(
    "token",
    ["", ".", "..", "a.b", "a.b.c", "a.b.c.d", f"{_part(HS256)}.{_part(_claims())}.", "é.é.é", "x" * 9_000],
)
async def test_malformed_tokens_are_rejected(token: str) -> None:
    """A token must have three base64url parts; the last part signs the other two."""
    with pytest.raises(InvalidToken):
        await _verifier().verify(token)


async def test_a_changed_token_is_rejected() -> None:
    """The signature covers header and claims."""
    head, _, signature = _signed(HS256, _claims()).split(".")

    with pytest.raises(InvalidToken):
        await _verifier().verify(f"{head}.{_part(_claims(sub='8'))}.{signature}")


async def test_a_token_has_a_size_limit() -> None:
    """A token of more than 8 KiB is rejected before anything is decoded."""
    token = _signed(HS256, _claims(padding="x" * 5_900))
    longer = _signed(HS256, _claims(padding="x" * 6_100))

    assert len(token) <= TOKEN_CHARS_MAX < len(longer)
    assert (await _verifier().verify(token)).user_id == 7
    with pytest.raises(InvalidToken):
        await _verifier().verify(longer)


@pytest.mark.parametrize(
    ("claims", "good"),
    [
        ({"iss": "us", "aud": "feed"}, True),
        ({"iss": "us", "aud": ["other", "feed"]}, True),
        ({"iss": "us"}, False),
        ({"aud": "feed"}, False),
        ({"iss": "them", "aud": "feed"}, False),
        ({"iss": ["us"], "aud": "feed"}, False),
        ({"iss": "us", "aud": "other"}, False),
        ({"iss": "us", "aud": [1]}, False),
    ],
)
async def test_issuer_and_audience_are_checked_if_configured(claims: dict[str, object], good: bool) -> None:
    """Both must be present and match."""
    verifier = _verifier(issuer="us", audience="feed")
    token = _signed(HS256, _claims(**claims))

    if good:
        assert (await verifier.verify(token)).user_id == 7
    else:
        with pytest.raises(InvalidToken):
            await verifier.verify(token)


@pytest.mark.parametrize(("private", "algorithm"), [(RSA_KEY, "RS256"), (EC_KEY, "ES256"), (ED_KEY, "EdDSA")])
async def test_each_kind_of_key_verifies_with_its_algorithm(private: Any, algorithm: str) -> None:
    """The `kid` selects the key, and the key determines the algorithm."""
    document = _key_set(_jwk(RSA_KEY, "rsa"), _jwk(EC_KEY, "ec"), _jwk(ED_KEY, "ed"))
    kid = {"RS256": "rsa", "ES256": "ec", "EdDSA": "ed"}[algorithm]
    verifier = _verifier(JwksKeys(_fetch_of(document)))

    caller = await verifier.verify(jwt.encode(_claims(), private, algorithm, headers={"kid": kid}))

    assert caller.user_id == 7


@pytest.mark.parametrize(
    ("key", "algorithm", "kid"),
    [
        (RSA_KEY, "RS256", "ec"),
        (RSA_KEY, "RS256", "unknown"),
        (RSA_KEY, "RS256", None),
        (RSA_KEY, "RS512", "rsa"),
        (RSA_KEY, "PS256", "rsa"),
        (rsa.generate_private_key(65_537, 2_048), "RS256", "rsa"),
    ],
)
async def test_tokens_of_other_keys_or_algorithms_are_rejected(
    key: Any, algorithm: str, kid: str | None
) -> None:
    """Rejected are an unknown key, another algorithm, and a token without `kid` if the set has
    several keys."""
    verifier = _verifier(JwksKeys(_fetch_of(_key_set(_jwk(RSA_KEY, "rsa"), _jwk(EC_KEY, "ec")))))
    headers = {} if kid is None else {"kid": kid}

    with pytest.raises(InvalidToken):
        await verifier.verify(jwt.encode(_claims(), key, algorithm, headers=headers))


async def test_a_public_key_is_no_secret() -> None:
    """Everybody can read the public RSA key. A token signed with HS256 and this key as the secret
    is rejected (algorithm confusion)."""
    pem = RSA_KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    head = f"{_part({'alg': 'HS256', 'kid': 'rsa'})}.{_part(_claims())}"
    hmac = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256)
    token = f"{head}.{_part(hmac.sign(head.encode(), pem))}"

    with pytest.raises(InvalidToken):
        await _verifier(JwksKeys(_fetch_of(_key_set(_jwk(RSA_KEY, "rsa"))))).verify(token)


def test_unusable_keys_of_a_set_are_ignored() -> None:
    """Ignored are keys of other uses or algorithms, secrets, private keys, short keys, other curves
    and malformed keys."""
    document = _key_set(
        _jwk(RSA_KEY, "encryption", use="enc"),
        _jwk(RSA_KEY, "other algorithm", alg="RS512"),
        _jwk(rsa.generate_private_key(65_537, 1_024), "short"),
        _jwk(ec.generate_private_key(ec.SECP384R1()), "other curve"),
        {"kty": "oct", "k": _part(b"x" * 32), "kid": "secret"},
        {**jwt.algorithms.RSAAlgorithm.to_jwk(RSA_KEY, as_dict=True), "kid": "private"},
        {"kty": "RSA", "kid": "half", "n": "AQAB"},
        {**_jwk(RSA_KEY, None), "kid": 7},
        {"kty": ["RSA"]},
        {},
        _jwk(RSA_KEY, "good", use="sig", alg="RS256"),
    )

    assert set(parse_key_set(document)) == {"good", None}


@pytest.mark.parametrize("document", [b"", b"[]", b"{}", b'{"keys":{}}', b"\xff", b"[" * 100_000])
def test_a_malformed_key_set_is_rejected(document: bytes) -> None:
    """Parsing raises for the whole document, so the old set stays in use."""
    with pytest.raises(ValueError):  # noqa: PT011 - JSON's own error is one.
        parse_key_set(document)


def _fetch_of(document: bytes) -> Callable[[], Awaitable[bytes]]:
    async def fetch() -> bytes:
        return document

    return fetch


class _Source:
    """A key set that can be changed or unavailable; counts the fetches."""

    def __init__(self, *keys: dict[str, Any]) -> None:
        self.document: bytes | None = _key_set(*keys)
        self.fetches = 0

    async def __call__(self) -> bytes:
        self.fetches += 1
        if self.document is None:
            raise OSError("unavailable")
        return self.document


async def test_an_unknown_kid_fetches_the_set_at_most_every_10_s() -> None:
    """Key rotation works, and a client cannot make the process fetch the set with every token."""
    now_s = 1_000.0
    source = _Source(_jwk(RSA_KEY, "old"))
    keys = JwksKeys(source, clock_s=lambda: now_s)
    assert await keys.key_for("old") is not None
    source.document = _key_set(_jwk(RSA_KEY, "new"))

    assert [await keys.key_for("new") for _ in range(100)] == [None] * 100
    assert source.fetches == 1
    now_s += FETCH_PAUSE_S
    assert await keys.key_for("new") is not None
    assert await keys.key_for("old") is None


async def test_a_removed_key_is_rejected_after_ten_minutes() -> None:
    """A set is used for ten minutes and then fetched again."""
    now_s = 1_000.0
    source = _Source(_jwk(RSA_KEY, "leaked"))
    keys = JwksKeys(source, clock_s=lambda: now_s)
    await keys.key_for("leaked")
    source.document = _key_set(_jwk(EC_KEY, "safe"))
    now_s += KEY_SET_AGE_S_MAX + 1

    assert await keys.key_for("leaked") is None


async def test_a_cached_token_is_checked_again() -> None:
    """Its times are checked with every request. Its signature is checked again if its key has
    changed."""
    now_s = 1_000.0
    clock_s = float(NOW_S)
    source = _Source(_jwk(RSA_KEY, "a"))
    keys = JwksKeys(source, clock_s=lambda: now_s)
    verifier = _verifier(keys, clock_us=lambda: int(clock_s * 1_000_000))
    token = jwt.encode(_claims(exp=NOW_S + 60), RSA_KEY, "RS256", {"kid": "a"})
    assert (await verifier.verify(token)).user_id == (await verifier.verify(token)).user_id == 7

    clock_s += 90
    with pytest.raises(InvalidToken, match="expired"):
        await verifier.verify(token)
    clock_s -= 90
    source.document = _key_set(_jwk(EC_KEY, "a"))
    now_s += KEY_SET_AGE_S_MAX + 1
    with pytest.raises(InvalidToken):
        await verifier.verify(token)


async def test_a_checked_signature_is_not_checked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the newest tokens are cached, and no long tokens, so the cache is bounded."""
    decode, checked = jwt.decode, list[str]()

    def counting(token: str, *args: Any, **kwargs: Any) -> Any:
        checked.append(token)
        return decode(token, *args, **kwargs)

    monkeypatch.setattr("api.auth.tokens.jwt.decode", counting)
    verifier = _verifier(tokens_cached_max=2)
    first, second, third = (_signed(HS256, _claims(sub=str(user))) for user in (1, 2, 3))
    long = _signed(HS256, _claims(sub="4", padding="x" * TOKEN_CACHED_CHARS_MAX))
    for token in (first, second, second, long, long, first, third, first):
        await verifier.verify(token)

    assert checked == [first, second, long, long, third, first]


async def test_known_keys_stay_in_use_while_the_set_is_unavailable() -> None:
    """If no key is known yet, StoreUnavailable is raised, because the token may be valid."""
    now_s = 1_000.0
    source = _Source(_jwk(RSA_KEY, "known"))
    keys = JwksKeys(source, clock_s=lambda: now_s)
    await keys.key_for("known")
    source.document = None
    now_s += KEY_SET_AGE_S_MAX + 1

    assert await keys.key_for("known") is not None
    with pytest.raises(StoreUnavailable):
        await JwksKeys(source).key_for("known")


def test_a_short_or_missing_secret_is_rejected() -> None:
    """HS256 needs at least 32 bytes. A key set makes the secret unnecessary."""
    for secret in ("", "x" * 31):
        with pytest.raises(ValueError, match="at least 32"):
            keys_from(Settings(jwt_secret=secret))

    assert isinstance(keys_from(Settings(jwt_secret="x" * 32)), SecretKeys)
    assert isinstance(keys_from(Settings(jwt_secret=SECRET, jwks="keys.json")), JwksKeys)


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("Authorization", "")],
        [("Authorization", "Bearer")],
        [("Authorization", "Basic dXNlcjpwYXNz")],
        [("Authorization", "Bearer a.b.c d")],
        [("Authorization", "Bearer a.b.c")],
        [("Authorization", "Bearer x.y.z"), ("Authorization", "Bearer x.y.z")],
    ],
)
async def test_a_request_without_a_good_token_is_401(headers: list[tuple[str, str]]) -> None:
    """The response is a problem document; its `WWW-Authenticate` challenge says what to send."""
    world = await make_world()
    async with world.client() as client:
        for path in ("/v1/feed", "/v1/users/1", "/metrics"):
            response = await client.get(path, headers=headers)

            assert response.status_code == 401
            assert response.headers["content-type"] == "application/problem+json"
            assert response.headers["www-authenticate"].startswith("Bearer")


async def test_the_scheme_may_be_written_in_any_case() -> None:
    """RFC 9110: authentication schemes are case-insensitive."""
    world = await make_world()
    async with world.client() as client:
        response = await client.get("/v1/users/1", headers={"Authorization": f"bEARER  {world.token(1)}"})

    assert response.status_code == 200


async def test_metrics_are_for_the_role_ops() -> None:
    """Without a token the status is 401, without the role 403. A setting can open the metrics to
    everybody."""
    world = await make_world()
    async with world.client(1) as anybody, world.client(1, roles=["ops"]) as ops, world.client() as nobody:
        statuses = [(await client.get("/metrics")).status_code for client in (nobody, anybody, ops)]
    opened = await make_world(ops_open=True)
    async with opened.client() as nobody:
        text = (await nobody.get("/metrics")).text

    assert statuses == [401, 403, 200]
    assert "shutterline_http_requests_total" in text


async def test_a_key_set_that_was_never_fetched_is_503() -> None:
    """The token may be valid: the caller should retry, not log in again."""
    world = await make_world(jwks="/nowhere/keys.json")
    async with world.client(1) as client:
        response = await client.get("/v1/feed")

    assert (response.status_code, response.headers["retry-after"]) == (503, "1")
