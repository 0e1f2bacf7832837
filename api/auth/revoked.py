"""The revocations as this process knows them, a few seconds old; checked without a call."""

import logging
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from time import monotonic

from api.http.metrics import REVOCATIONS_READ
from api.polled import Polled
from schemas.ids import UserId
from schemas.quoting import quoted
from schemas.times import rfc3339, utc_datetime_of_ms
from streams.errors import StoreUnavailable
from streams.polling import poll
from streams.ports.revocations import Revocation, RevocationKind, Revocations

log = logging.getLogger(__name__)

# Rows that expire do not change the version either. The interval is well below the 30 s within which a
# revocation must have an effect.
RELOAD_S = 10.0


@dataclass(slots=True, kw_only=True)
class RevokedPoller:
    """Polls the revocations every `refresh_s` seconds.

    While the store does not respond, the last revocations are used until they are `stale_s_max` old.
    """

    store: Revocations
    refresh_s: float
    stale_s_max: float
    clock_s: Callable[[], float] = monotonic
    _keys: Collection[str] = field(default=frozenset(), init=False)
    _tokens: Collection[str] = field(default=frozenset(), init=False)
    _users: dict[str, int] = field(default_factory=dict, init=False)
    _logged: frozenset[Revocation] | None = field(default=None, init=False)
    _polled: Polled[Sequence[Revocation]] = field(init=False)

    def __post_init__(self) -> None:
        self._polled = Polled(source=self.store, use=self._use, reload_s=RELOAD_S, clock_s=self.clock_s)

    async def check(self) -> None:
        """Raise StoreUnavailable if the revocations are not known, or have not been for too long."""
        if self._polled.age_s() > self.stale_s_max:
            raise StoreUnavailable("revocations", "read", f"not within the last {self.stale_s_max} s")

    def has_key(self, *names: str | None) -> bool:
        """Whether a key with one of these ids or thumbprints is revoked."""
        return any(name in self._keys for name in names)

    def has_token(self, token_id: str) -> bool:
        """Whether the token with this `jti` is revoked."""
        return token_id in self._tokens

    def has_user(self, user: UserId, issued_s: float | None) -> bool:
        """Whether the user's tokens of that time are revoked. A token without a time may be any."""
        before_ms = self._users.get(str(user))
        return before_ms is not None and (issued_s is None or issued_s * 1_000 < before_ms)

    async def refresh(self) -> None:
        """Read the revocations if they have changed.

        Raises:
            StoreUnavailable: The database did not respond.
        """
        await self._polled.refresh()
        REVOCATIONS_READ.set_to_current_time()

    async def run(self) -> None:
        """Refresh every `refresh_s` seconds; runs until cancelled."""
        await poll(
            self.refresh,
            self.refresh_s,
            log=log,
            failure="the revocations could not be read; the last ones stay in use",
            level=logging.WARNING,
        )

    def _use(self, revocations: Sequence[Revocation]) -> None:
        users: dict[str, int] = {}
        for revocation in revocations:
            if revocation.kind is RevocationKind.USER and revocation.issued_before_ms is not None:
                before_ms = users.get(revocation.subject, 0)
                users[revocation.subject] = max(before_ms, revocation.issued_before_ms)
        self._keys = _subjects(revocations, RevocationKind.KEY)
        self._tokens = _subjects(revocations, RevocationKind.TOKEN)
        self._users = users
        self._log(revocations)

    def _log(self, revocations: Sequence[Revocation]) -> None:
        """Log what is new. At the start of a process all is new, and other processes have logged it."""
        if self._logged is None:
            log.info("%s revocations are in force", len(revocations))
        else:
            for revocation in revocations:
                if revocation not in self._logged:
                    log.warning("revoked: %s", described(revocation))
        self._logged = frozenset(revocations)


def described(revocation: Revocation) -> str:
    """Return what is revoked, by whom, when and why, on one line."""
    before_ms = revocation.issued_before_ms
    tokens = "" if before_ms is None else f", tokens issued before {rfc3339(utc_datetime_of_ms(before_ms))}"
    return (
        f"{revocation.kind} {quoted(revocation.subject)}{tokens}, by {quoted(revocation.revoked_by)} at "
        f"{rfc3339(utc_datetime_of_ms(revocation.revoked_ms))}, reason: {quoted(revocation.reason)}"
    )


def _subjects(revocations: Sequence[Revocation], kind: RevocationKind) -> Collection[str]:
    return frozenset(revocation.subject for revocation in revocations if revocation.kind is kind)
