"""Bearer tokens: which ones authenticate a caller, and which are rejected."""

from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from api.auth.tokens import TOKEN_CACHED_CHARS_MAX, TOKEN_CHARS_MAX, InvalidToken
from schemas.ids import ID_MAX
from tests.worlds.api import make_world
from tests.worlds.tokens import (
    HS256,
    NOW_S,
    RSA_KEY,
    KeySetSource,
    claims_of,
    jwk,
    jwks,
    make_verifier,
    part,
    signed,
)


@pytest.mark.parametrize(
    "claims",
    [
        {},
        {"exp": NOW_S - 29},
        {"exp": NOW_S + 86_400},
        {"exp": NOW_S + 0.5},
        {"iat": NOW_S + 29, "nbf": NOW_S + 29},
        {"iat": NOW_S, "exp": NOW_S + 86_400},
        {"aud": "somebody else", "iss": "anybody"},
        {"roles": ["ops", "other"]},
        {"sub": str(ID_MAX)},
    ],
)
async def test_a_good_token_names_its_caller(claims: dict[str, object]) -> None:
    """Times may differ by the leeway of 30 s, and a token may be valid for a day. Issuer and
    audience are checked only if configured."""
    caller = await make_verifier().verify(signed(HS256, claims_of(**claims)))

    assert caller.user_id == int(str(claims.get("sub", "7")))
    # `roles` is a list in every parameter above.
    assert caller.roles == frozenset(claims.get("roles", []))  # type: ignore[call-overload]


@pytest.mark.parametrize("typ", ["JWT", "jwt", "at+jwt", "AT+JWT", "application/at+jwt"])
async def test_known_token_types_are_accepted(typ: str) -> None:
    """RFC 8725, section 3.11, recommends explicit types. Plain JWTs and access tokens are
    accepted."""
    assert (await make_verifier().verify(signed({"alg": "HS256", "typ": typ}, claims_of()))).user_id == 7


BAD_CLAIMS: list[object] = [
    *[claims_of(exp=exp) for exp in (NOW_S - 30, NOW_S + 86_431, str(NOW_S + 60), True, None, [7], -1)],
    {"sub": "7"},
    {"exp": NOW_S + 60},
    *[claims_of(iat=iat) for iat in (NOW_S + 31, "1", None, True)],
    claims_of(iat=NOW_S - 86_400),
    *[claims_of(nbf=nbf) for nbf in (NOW_S + 31, "1", False)],
    *[
        claims_of(sub=sub)
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
    claims_of(sub=str(ID_MAX + 1)),
    *[claims_of(roles=roles) for roles in ("ops", ["ops", 1], {"ops": True}, 1, None)],
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
        await make_verifier().verify(signed(HS256, payload))


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
        await make_verifier().verify(signed(header, claims_of()))


@pytest.mark.parametrize(
    "token",
    ["", ".", "..", "a.b", "a.b.c", "a.b.c.d", f"{part(HS256)}.{part(claims_of())}.", "é.é.é", "x" * 9_000],
)
async def test_malformed_tokens_are_rejected(token: str) -> None:
    """A token must have three base64url parts; the last part signs the other two."""
    with pytest.raises(InvalidToken):
        await make_verifier().verify(token)


async def test_a_changed_token_is_rejected() -> None:
    """The signature covers header and claims."""
    head, _, signature = signed(HS256, claims_of()).split(".")

    with pytest.raises(InvalidToken):
        await make_verifier().verify(f"{head}.{part(claims_of(sub='8'))}.{signature}")


async def test_a_token_has_a_size_limit() -> None:
    """A token of more than 8 KiB is rejected before anything is decoded."""
    token = signed(HS256, claims_of(padding="x" * 5_900))
    longer = signed(HS256, claims_of(padding="x" * 6_100))

    assert len(token) <= TOKEN_CHARS_MAX < len(longer)
    assert (await make_verifier().verify(token)).user_id == 7
    with pytest.raises(InvalidToken):
        await make_verifier().verify(longer)


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
    verifier = make_verifier(issuer="us", audience="feed")
    token = signed(HS256, claims_of(**claims))

    if good:
        assert (await verifier.verify(token)).user_id == 7
    else:
        with pytest.raises(InvalidToken):
            await verifier.verify(token)


async def test_a_public_key_is_no_secret() -> None:
    """Everybody can read the public RSA key. A token signed with HS256 and this key as the secret
    is rejected (algorithm confusion)."""
    pem = RSA_KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    head = f"{part({'alg': 'HS256', 'kid': 'rsa'})}.{part(claims_of())}"
    hmac = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256)
    token = f"{head}.{part(hmac.sign(head.encode(), pem))}"

    with pytest.raises(InvalidToken):
        await make_verifier(jwks(KeySetSource(jwk(RSA_KEY, "rsa")))).verify(token)


async def test_a_checked_signature_is_not_checked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the newest tokens are cached, and no long tokens, so the cache is bounded."""
    decode, checked = jwt.decode, list[str]()

    def counting(token: str, *args: Any, **kwargs: Any) -> Any:
        checked.append(token)
        return decode(token, *args, **kwargs)

    monkeypatch.setattr("api.auth.tokens.jwt.decode", counting)
    verifier = make_verifier(tokens_cached_max=2)
    first, second, third = (signed(HS256, claims_of(sub=str(user))) for user in (1, 2, 3))
    long = signed(HS256, claims_of(sub="4", padding="x" * TOKEN_CACHED_CHARS_MAX))
    for token in (first, second, second, long, long, first, third, first):
        await verifier.verify(token)

    assert checked == [first, second, long, long, third, first]


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
        for path in ("/v1/feed", "/v1/users/1", "/metrics", "/ops/lag"):
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


@pytest.mark.parametrize(
    ("path", "said"), [("/metrics", "shutterline_http_requests_total"), ("/ops/lag", "sampled_at")]
)
async def test_metrics_and_the_lag_are_for_the_role_ops(path: str, said: str) -> None:
    """Without a token the status is 401, without the role 403. A setting can open them to everybody."""
    world, opened = await make_world(), await make_world(ops_open=True)
    world.monitor.report = opened.monitor.report = b'{"sampled_at": null}'
    async with world.client(1) as anybody, world.client(1, roles=["ops"]) as ops, world.client() as nobody:
        statuses = [(await client.get(path)).status_code for client in (nobody, anybody, ops)]
    async with opened.client() as nobody:
        text = (await nobody.get(path)).text

    assert statuses == [401, 403, 200]
    assert said in text


async def test_a_key_set_that_was_never_fetched_is_503() -> None:
    """The token may be valid: the caller should retry, not log in again."""
    world = await make_world(jwks="/nowhere/keys.json", jwt_audience="feed")
    async with world.client(1) as client:
        response = await client.get("/v1/feed")

    assert (response.status_code, response.headers["retry-after"]) == (503, "1")
