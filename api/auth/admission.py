"""Says who makes a request, and rejects it if its user or address is above the rate.

The rates are by group of routes: reads and writes. Requests whose token is missing or invalid are a
group of their own, by address.
"""

import asyncio
from dataclasses import dataclass
from math import ceil

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import Scope

from api.auth.tokens import Caller, TokenVerifier, authenticate
from api.http.addresses import client_of
from api.http.metrics import REQUESTS_REFUSED
from api.http.problems import Problem, too_many
from api.http.rate_limiter import RateLimiter
from schemas.ids import UserId
from streams.core.limits.rates import Rate
from streams.errors import StoreUnavailable
from streams.fairness import Requester
from streams.settings import RateSettings

# The routes below these paths need a token.
TOKEN_PATHS = ("/v1/", "/metrics", "/ops")
READ_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})

_OUTCOME = "shutterline.caller"


@dataclass(frozen=True, slots=True)
class Rates:
    """The rates of one kind of requester."""

    reads: Rate
    writes: Rate

    def of(self, group: str) -> Rate:
        return self.reads if group == "reads" else self.writes


class Admission:
    """Identifies the requester of each request and limits its rate."""

    def __init__(self, settings: RateSettings, verifier: TokenVerifier, limiter: RateLimiter) -> None:
        self._verifier = verifier
        self._limiter = limiter
        self._limits_by_address = settings.limits_by_address
        self._trusted_proxies = settings.trusted_proxies
        self._by_user = Rates(
            Rate(settings.reads_per_s, settings.reads_burst),
            Rate(settings.writes_per_s, settings.writes_burst),
        )
        self._by_address = Rates(
            Rate(settings.address_reads_per_s, settings.address_reads_burst),
            Rate(settings.address_writes_per_s, settings.address_writes_burst),
        )
        self._refusal_delay_s = settings.rate_refusal_delay_ms / 1_000
        self._unauthorized = Rate(settings.unauthorized_per_s, settings.unauthorized_burst)

    async def admit(self, scope: Scope) -> Requester:
        """Return the requester; `caller_of` then returns the caller without another check.

        A missing or invalid token is no error here: the route decides whether it needs one.

        Raises:
            Problem: 429 with Retry-After, if the user or the address is above its rate.
        """
        address = client_address(scope, self._trusted_proxies) if self._limits_by_address else None
        group = "reads" if scope["method"] in READ_METHODS else "writes"
        if address is not None:
            await self._take(group, "address", address, self._by_address.of(group))
        outcome = await self._identify(scope)
        scope[_OUTCOME] = outcome
        if isinstance(outcome, Caller):
            await self._take(group, "user", str(outcome.user_id), self._by_user.of(group))
            return Requester(outcome.user_id, address)
        if address is not None and isinstance(outcome, Problem) and scope["path"].startswith(TOKEN_PATHS):
            await self._take("requests without a valid token", "address", address, self._unauthorized)
        return Requester(None, address)

    async def _identify(self, scope: Scope) -> Caller | Problem | StoreUnavailable:
        try:
            return await authenticate(Request(scope), self._verifier)
        except (Problem, StoreUnavailable) as error:
            return error

    async def _take(self, group: str, kind: str, subject: str, rate: Rate) -> None:
        wait_s = self._limiter.take(f"{group}:{kind}:{subject}", rate)
        if wait_s:
            REQUESTS_REFUSED.labels(f"{kind}_rate").inc()
            whose = "Your token" if kind == "user" else "Your address"
            detail = f"{whose} may make {rate.per_s:g} {group} a second, {rate.burst} at once; try again."
            # Even a refusal costs a millisecond. A client that repeats at once, whatever Retry-After says,
            # has so many fewer of them.
            await asyncio.sleep(self._refusal_delay_s)
            raise too_many(detail, ceil(wait_s))


def admitted_caller(request: Request) -> Caller | None:
    """Return the caller that `admit` identified; None if it was not called for this request.

    Raises:
        Problem, StoreUnavailable: What `admit` found instead of a caller.
    """
    outcome = request.scope.get(_OUTCOME)
    if isinstance(outcome, Exception):
        raise outcome
    assert outcome is None or isinstance(outcome, Caller)
    return outcome


def user_of(scope: Scope) -> UserId | None:
    """Return the user that `admit` identified."""
    outcome = scope.get(_OUTCOME)
    return outcome.user_id if isinstance(outcome, Caller) else None


def client_address(scope: Scope, trusted_proxies: int) -> str | None:
    """Return the address of the client, of IPv6 its network; None if there is no address.

    Each proxy appends the address of its peer to `X-Forwarded-For`, so the last entries are true if
    our own proxies wrote them. All entries before these may be invented.
    """
    peer = scope.get("client")
    if trusted_proxies:
        hops = ",".join(Headers(scope=scope).getlist("x-forwarded-for")).split(",")
        if len(hops) >= trusted_proxies and (client := client_of(hops[-trusted_proxies].strip())):
            return client
    return None if peer is None else client_of(peer[0]) or peer[0]
