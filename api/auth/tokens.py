"""Authentication by bearer tokens (JWT), which are checked as RFC 8725 recommends."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import jwt
from cachetools import FIFOCache
from starlette.requests import Request

from api.auth.keys import Keys, VerificationKey
from api.auth.revoked import RevokedPoller
from api.http.problems import Problem
from schemas.ids import UserId, parse_id
from schemas.quoting import quoted

TOKEN_CHARS_MAX = 8_192
# A cached token takes about a kilobyte. Apps send the same token for an hour, and each request
# whose token is cached saves the check of the signature, which takes 0.1 ms.
TOKENS_CACHED_MAX = 4_096
TOKEN_CACHED_CHARS_MAX = 1_024
OPS_ROLE = "ops"
# Rejects infinity and integers that float() cannot hold. NaN is rejected too, because it is not
# less than any number.
NUMBER_MAX = 2**53

_BEARER = re.compile(r"bearer +(\S+)", re.IGNORECASE)
_COMPACT = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
_TYPES = frozenset({"jwt", "at+jwt", "application/jwt", "application/at+jwt"})
# PyJWT checks signature, issuer and audience. We check the times, because PyJWT's int() accepts
# values that no token should have ("12", 1e400).
_UNCHECKED = dict.fromkeys(("verify_exp", "verify_nbf", "verify_iat", "verify_sub", "verify_jti"), False)


@dataclass(frozen=True, slots=True)
class Caller:
    """The user that a token authenticates."""

    user_id: UserId
    roles: frozenset[str]


@dataclass(frozen=True, slots=True)
class _CheckedToken:
    """A token's claims, and the key that its signature was checked with."""

    kid: str | None
    algorithm: str
    key: VerificationKey
    claims: Mapping[str, Any]
    caller: Caller


class InvalidToken(Exception):
    """The token is not valid; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenVerifier:
    """Checks tokens against `keys`. Empty `issuer` or `audience` are not checked.

    A token whose signature was valid is cached: the signature is not checked again while its key is
    the same. Every request checks the times, that the key still exists, and that neither key, user nor
    token is revoked.
    """

    keys: Keys
    revoked: RevokedPoller
    issuer: str
    audience: str
    leeway_s: int
    life_s_max: int
    clock_us: Callable[[], int]
    tokens_cached_max: int = TOKENS_CACHED_MAX
    _checked: FIFOCache[str, _CheckedToken] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_checked", FIFOCache(self.tokens_cached_max))

    async def verify(self, token: str) -> Caller:
        """Return the caller that the token names.

        Raises:
            InvalidToken: The token is malformed, expired, revoked, or not signed by one of our keys.
            StoreUnavailable: The key set or the revocations are not known.
        """
        await self.revoked.check()
        checked = self._checked.get(token)
        if checked is None or checked.key not in await self.keys.keys_for(checked.kid, checked.algorithm):
            checked = await self._check(token)
            if len(token) <= TOKEN_CACHED_CHARS_MAX:
                self._checked[token] = checked
        self._check_times(checked.claims)
        self._check_revoked(checked)
        return checked.caller

    async def _check(self, token: str) -> _CheckedToken:
        """Check everything but the times and the revocations."""
        if len(token) > TOKEN_CHARS_MAX:
            raise InvalidToken(f"the token has {len(token)} characters, but may have {TOKEN_CHARS_MAX}")
        if not _COMPACT.fullmatch(token):
            raise InvalidToken("the token is not three parts of base64url")
        header = _header(token)
        kid, algorithm = header.get("kid"), header.get("alg")
        if not isinstance(algorithm, str):
            raise InvalidToken(f"alg is {quoted(algorithm)}, but must be the name of an algorithm")
        # A key allows only its own algorithms. The token's header merely selects among them.
        keys = await self.keys.keys_for(kid, algorithm)
        key, claims = self._verified(token, keys, algorithm)
        return _CheckedToken(kid, algorithm, key, claims, Caller(_subject(claims), _roles(claims)))

    def _verified(
        self, token: str, keys: Sequence[VerificationKey], algorithm: str
    ) -> tuple[VerificationKey, dict[str, Any]]:
        """Return the first key that signed the token, and the claims.

        Keys of a set may share an id, and a token may have none.
        """
        for key in keys:
            try:
                return key, self._claims(token, key.key, algorithm)
            except jwt.InvalidSignatureError:
                continue
            except jwt.PyJWTError as error:
                raise InvalidToken(str(error)) from None
        raise InvalidToken("no key of ours has its kid, allows its alg and signed it")

    def _claims(self, token: str, key: Any, algorithm: str) -> dict[str, Any]:
        options: Any = {
            **_UNCHECKED,
            "require": ["exp", "sub"],
            "verify_aud": bool(self.audience),
            "verify_iss": bool(self.issuer),
        }
        return jwt.decode(
            token,
            key,
            algorithms=[algorithm],
            options=options,
            audience=self.audience or None,
            issuer=self.issuer or None,
        )

    def _check_times(self, claims: Mapping[str, Any]) -> None:
        now_s = self.clock_us() / 1_000_000
        if now_s >= _number(claims, "exp") + self.leeway_s:
            raise InvalidToken("the token has expired")
        if _number(claims, "exp") - now_s > self.life_s_max + self.leeway_s:
            raise InvalidToken(f"exp is more than {self.life_s_max} s away")
        for name in ("iat", "nbf"):
            if name in claims and _number(claims, name) > now_s + self.leeway_s:
                raise InvalidToken(f"{name} is in the future")
        # Without this rule, a token could outlive the record that it is revoked.
        if (
            "iat" in claims
            and _number(claims, "exp") - _number(claims, "iat") > self.life_s_max + self.leeway_s
        ):
            raise InvalidToken(f"exp is more than {self.life_s_max} s after iat")

    def _check_revoked(self, checked: _CheckedToken) -> None:
        claims = checked.claims
        if self.revoked.has_key(checked.kid, checked.key.kid, checked.key.thumbprint):
            raise InvalidToken("its key is revoked")
        if claims.get("jti") is not None and self.revoked.has_token(str(claims["jti"])):
            raise InvalidToken("it is revoked")
        issued_s = _number(claims, "iat") if "iat" in claims else None
        if self.revoked.has_user(checked.caller.user_id, issued_s):
            raise InvalidToken("the user's tokens of its time are revoked")


def _header(token: str) -> Mapping[str, Any]:
    try:
        header = jwt.get_unverified_header(token)
    except jwt.PyJWTError as error:
        raise InvalidToken(str(error)) from None
    if "crit" in header:
        raise InvalidToken("the token has critical extensions, of which we know none")
    kind = header.get("typ", "JWT")
    if not isinstance(kind, str) or kind.lower() not in _TYPES:
        raise InvalidToken(f"typ is {quoted(kind)}, but must be JWT or at+jwt")
    return header


def _number(claims: Mapping[str, Any], name: str) -> float:
    value = claims[name]
    if type(value) not in (int, float) or not abs(value) < NUMBER_MAX:
        raise InvalidToken(f"{name} is {quoted(value)}, but must be a number of seconds")
    return float(value)


def _subject(claims: Mapping[str, Any]) -> UserId:
    subject = claims["sub"]
    if not isinstance(subject, str):
        raise InvalidToken(f"sub is {quoted(subject)}, but must be a string")
    try:
        return UserId(parse_id(subject, "sub"))
    except ValueError as error:
        raise InvalidToken(str(error)) from None


def _roles(claims: Mapping[str, Any]) -> frozenset[str]:
    roles = claims.get("roles", [])
    if not isinstance(roles, list) or not all(isinstance(role, str) for role in roles):
        raise InvalidToken(f"roles is {quoted(roles)}, but must be a list of strings")
    return frozenset(roles)


async def authenticate(request: Request, verifier: TokenVerifier) -> Caller:
    """Return the caller of a request.

    Raises:
        Problem: 401. The detail says what is wrong and what to send instead.
        StoreUnavailable: The key set could not be fetched.
    """
    values = request.headers.getlist("authorization")
    if not values:
        raise _unauthorized("Send 'Authorization: Bearer <token>'.", "Bearer")
    match = _BEARER.fullmatch(values[0].strip()) if len(values) == 1 else None
    if match is None:
        raise _unauthorized("The Authorization header must be one, and 'Bearer <token>'.", "Bearer")
    try:
        return await verifier.verify(match[1])
    except InvalidToken as error:
        raise _unauthorized(f"The token is not valid: {error}.", 'Bearer error="invalid_token"') from None


def _unauthorized(detail: str, challenge: str) -> Problem:
    return Problem(HTTPStatus.UNAUTHORIZED, detail, {"WWW-Authenticate": challenge})
