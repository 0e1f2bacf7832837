"""The keys that verify tokens; each key is bound to the algorithms that it allows."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

# RFC 7518: an HMAC key is at least as long as the hash, which has 32 bytes for HS256.
SECRET_BYTES_MIN = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class VerificationKey:
    """A key and the algorithms that it may be used with, by the names of RFC 7518 and RFC 8037.

    `thumbprint` names the key itself (RFC 7638), also if it has no `kid`. Two keys are equal if their
    ids, thumbprints and algorithms are.
    """

    kid: str | None
    thumbprint: str
    algorithms: frozenset[str]
    key: Any = field(compare=False, repr=False)


class Keys(Protocol):
    async def keys_for(self, kid: str | None, algorithm: str) -> Sequence[VerificationKey]:
        """Return the keys with this id that allow the algorithm; without an id, all that allow it.

        Raises:
            StoreUnavailable: It is not known which keys exist.
        """

    async def check(self) -> None:
        """Raise StoreUnavailable if it is not known which keys exist."""

    async def run(self) -> None:
        """Keep the keys up to date; runs until cancelled."""


@dataclass(frozen=True, slots=True)
class SecretKeys(Keys):
    """One HS256 secret, for local runs."""

    secret: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if len(self.secret) < SECRET_BYTES_MIN:
            raise ValueError(
                f"SHUTTERLINE_JWT_SECRET has {len(self.secret)} bytes, but must have at least "
                f"{SECRET_BYTES_MIN}; or set SHUTTERLINE_JWKS"
            )

    async def keys_for(self, kid: str | None, algorithm: str) -> Sequence[VerificationKey]:
        allowed = frozenset({"HS256"})
        # Which key it is needs no thumbprint, because there is only one.
        key = VerificationKey(kid=None, thumbprint="", algorithms=allowed, key=self.secret)
        return (key,) if algorithm in allowed else ()

    async def check(self) -> None:
        """The secret is always known."""

    async def run(self) -> None:
        """The secret never changes."""
        await asyncio.Event().wait()
