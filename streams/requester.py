"""Who makes the request under way: shared limits are fair by user and by address."""

from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Requester:
    """The user, None without a valid token, and the address, None if addresses are not limited.

    All requests without a valid token count as one user.
    """

    user: int | None = None
    address: str | None = None


NOBODY = Requester()
REQUESTER: ContextVar[Requester] = ContextVar("requester", default=NOBODY)
