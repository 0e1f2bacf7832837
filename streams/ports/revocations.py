"""The port of revocations: keys, users and tokens that authenticate nobody any more.

Implemented by the real store and by its in-memory twin. Every method raises
`StoreUnavailable` when nothing is known about what it was asked for; every method may be
repeated.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


class RevocationKind(StrEnum):
    """What is revoked; the subject is a key id or thumbprint, a user's id, or a token's `jti`."""

    KEY = "key"
    USER = "user"
    TOKEN = "token"


@dataclass(frozen=True, slots=True, kw_only=True)
class Revocation:
    """A revocation, with who revoked when and why.

    Of a user, the tokens issued before `issued_before_ms` are revoked; of others it is None.
    """

    kind: RevocationKind
    subject: str
    issued_before_ms: int | None = None
    revoked_ms: int
    revoked_by: str
    reason: str


class Revocations(Protocol):
    """Every revocation; those of one subject are stored beside each other."""

    async def revoke(self, revocation: Revocation, *, life_s: int | None) -> None:
        """Store the revocation, for `life_s` seconds or, with None, permanently."""

    async def version(self) -> str:
        """Return a text that changes with every revocation; reads one cell."""

    async def all(self) -> list[Revocation]:
        """Return the revocations that have not expired, by kind, subject and time."""
