"""Make tokens for local runs: HS256 with the shared secret, as `api/auth/tokens.py` checks them."""

from collections.abc import Callable, Sequence
from pathlib import Path
from time import time

import jwt

from schemas.ids import UserId
from shutterline.failures import CommandFailed
from streams.settings import TokenSettings

LIFE_S_DEFAULT = 3_600


def mint_token(
    settings: TokenSettings,
    user: UserId,
    *,
    roles: Sequence[str] = (),
    life_s: int = LIFE_S_DEFAULT,
    now_s: Callable[[], float] = time,
) -> str:
    """A token that speaks for `user` during `life_s` seconds.

    Raises:
        CommandFailed: There is no local secret, or `life_s` is out of range.
    """
    secret = settings.jwt_secret.get_secret_value()
    if not secret:
        raise CommandFailed(
            "There is no local secret: tokens are made here for local runs only. Start the local stack with "
            "`make up`, or set SHUTTERLINE_JWT_SECRET to what the API was started with."
        )
    if not 1 <= life_s <= settings.jwt_life_s_max:
        raise CommandFailed(f"life is {life_s} s, but must be 1 to {settings.jwt_life_s_max} s")
    issued_s = int(now_s())
    claims: dict[str, object] = {"sub": str(user), "iat": issued_s, "exp": issued_s + life_s}
    optional = {"roles": list(roles), "iss": settings.jwt_issuer, "aud": settings.jwt_audience}
    claims.update({name: value for name, value in optional.items() if value})
    return jwt.encode(claims, secret, algorithm="HS256")


def tokens_for(settings: TokenSettings) -> Callable[[UserId], str]:
    """A function that returns a valid token of any user; it caches each for half of its life."""
    cached: dict[UserId, tuple[float, str]] = {}

    def token_of(user: UserId) -> str:
        minted_s, token = cached.get(user, (0.0, ""))
        if time() - minted_s > LIFE_S_DEFAULT / 2:
            token = mint_token(settings, user)
            cached[user] = (time(), token)
        return token

    return token_of


def token_source(settings: TokenSettings, user: UserId, file: Path | None) -> Callable[[], str]:
    """A function that returns a valid token of the user: the text of `file`, or without it a local one."""
    if file is not None:
        return lambda: file.read_text().strip()
    token_of = tokens_for(settings)
    return lambda: token_of(user)
