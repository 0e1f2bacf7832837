"""The keys of a JSON Web Key Set, which a task of its own fetches again and again."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from time import monotonic

import aiohttp

from api.auth.key_set import KeySet, parse_key_set
from api.auth.key_source import key_source
from api.auth.keys import Keys, SecretKeys, VerificationKey
from api.http.metrics import KEY_SET_FETCHED
from streams.errors import StoreUnavailable
from streams.settings import TokenSettings

# The shortest time between two fetches. Without it, a client could cause a fetch with every
# request whose token names an unknown key id.
FETCH_PAUSE_S = 10.0
# A request whose key is not known waits for a fetch at most this long, half of its own deadline.
WAIT_S_MAX = 1.0
# Requests that wait hold a slot of all requests, and anybody can send tokens with unknown keys.
WAITING_MAX = 16
log = logging.getLogger(__name__)


class JwksKeys(Keys):
    """The last good key set, which is used until it is `stale_s_max` old.

    `fetch` is tried every `refresh_s` seconds and takes at most `fetch_s_max` seconds. A set that cannot be
    read or has no usable key does not replace the last good one.
    """

    def __init__(
        self,
        fetch: Callable[[], Awaitable[bytes]],
        *,
        refresh_s: float,
        fetch_s_max: float,
        stale_s_max: float,
        clock_s: Callable[[], float] = monotonic,
    ) -> None:
        self._fetch = fetch
        self._refresh_s = refresh_s
        self._fetch_s_max = fetch_s_max
        self._stale_s_max = stale_s_max
        self._clock_s = clock_s
        self._set: KeySet | None = None
        self._fetched_s = 0.0
        self._tried_s = float("-inf")
        self._fetching: asyncio.Task[None] | None = None
        self._waiting = 0
        self._logged: frozenset[str] = frozenset()

    async def keys_for(self, kid: str | None, algorithm: str) -> Sequence[VerificationKey]:
        keys = self._find(kid, algorithm)
        if not keys and self._may_wait():
            await self._wait_for_fetch()
            keys = self._find(kid, algorithm)
        if not keys:
            await self.check()
        return keys

    async def check(self) -> None:
        if self._set is None:
            raise StoreUnavailable("jwks", "fetch", "the key set has not been fetched yet")
        if self._is_stale():
            raise StoreUnavailable("jwks", "fetch", f"the key set is older than {self._stale_s_max} s")

    async def run(self) -> None:
        while True:
            await self.refresh()
            await asyncio.sleep(self._refresh_s)

    async def refresh(self) -> None:
        """Fetch the set once; several callers at once share one fetch. Never raises."""
        if self._fetching is None:
            self._tried_s = self._clock_s()
            self._fetching = asyncio.create_task(self._fetch_once(), name="jwks")
        # If a caller disconnects, the fetch must go on, because others wait for it.
        await asyncio.shield(self._fetching)

    def _find(self, kid: str | None, algorithm: str) -> Sequence[VerificationKey]:
        return () if self._set is None or self._is_stale() else self._set.find(kid, algorithm)

    def _is_stale(self) -> bool:
        return self._clock_s() - self._fetched_s > self._stale_s_max

    def _may_wait(self) -> bool:
        is_due = self._fetching is not None or self._clock_s() - self._tried_s >= FETCH_PAUSE_S
        return is_due and self._waiting < WAITING_MAX

    async def _wait_for_fetch(self) -> None:
        self._waiting += 1
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(WAIT_S_MAX):
                    await self.refresh()
        finally:
            self._waiting -= 1

    async def _fetch_once(self) -> None:
        began_s = self._clock_s()
        try:
            async with asyncio.timeout(self._fetch_s_max):
                document = await self._fetch()
            self._set, self._fetched_s = parse_key_set(document), began_s
        except (OSError, ValueError, TimeoutError, aiohttp.ClientError) as error:
            log.warning("the key set could not be fetched; the last good one stays in use: %r", error)
        else:
            KEY_SET_FETCHED.set_to_current_time()
            self._log_unusable(frozenset(self._set.unusable))
        finally:
            self._fetching = None

    def _log_unusable(self, unusable: frozenset[str]) -> None:
        """Log the keys that were not unusable in the last set."""
        for sentence in sorted(unusable - self._logged):
            log.warning("a key of the key set is not used: %s", sentence)
        self._logged = unusable


def keys_from(settings: TokenSettings, *, clock_s: Callable[[], float] = monotonic) -> Keys:
    """Return the keys that the settings name: the key set if it is set, otherwise the local secret.

    Raises:
        ValueError: Neither is set, the secret is too short, or the key set's address or audience is not safe.
    """
    if not settings.jwks:
        return SecretKeys(settings.jwt_secret.get_secret_value().encode())
    if not settings.jwt_audience:
        # Otherwise tokens that the same issuer made for other services would be accepted.
        raise ValueError("SHUTTERLINE_JWKS is set, so SHUTTERLINE_JWT_AUDIENCE must be set too")
    return JwksKeys(
        key_source(settings.jwks, bytes_max=settings.jwks_bytes_max, fetch_s_max=settings.jwks_fetch_s_max),
        refresh_s=settings.jwks_refresh_s,
        fetch_s_max=settings.jwks_fetch_s_max,
        stale_s_max=settings.jwks_stale_s_max,
        clock_s=clock_s,
    )
