"""The guard of one store: its breakers, its deadline, and what its errors mean.

Every error of a store is an outage, with two exceptions. In an outage the caller gets
`StoreUnavailable` and waits, and the breaker counts a failure. A refusal by a running store is an
outage too (out of memory, a rotated key, a revoked permission), because an operator can end it
without a change of this code.

The two exceptions are a request that can never succeed, because our own code built it wrongly, and
an error that the caller expects as a result. They are raised unchanged, and the breaker counts a
success.

An operation may name its key, such as a partition of the database. A key that keeps failing is then
rejected by itself, and operations on other keys go on.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Any

from streams.core.limits.breaker import Breaker, KeyBreakers
from streams.errors import StoreUnavailable
from streams.limited_log import LimitedLog
from streams.metrics import BREAKER, SLOW_KEY_REJECTIONS, STORE_ERRORS
from streams.settings import BreakerSettings

log = logging.getLogger(__name__)


def breaker_of(settings: BreakerSettings) -> Breaker:
    """Make a breaker with the limits of the settings."""
    return Breaker(
        failures_max=settings.breaker_failures_max,
        open_s=settings.breaker_open_ms / 1_000,
        window_s=settings.breaker_window_ms / 1_000,
    )


def key_breakers_of(settings: BreakerSettings) -> KeyBreakers:
    """Make the breakers of single keys with the limits of the settings."""
    return KeyBreakers(
        failures_max=settings.breaker_key_failures_max,
        open_s=settings.breaker_open_ms / 1_000,
        keys_max=settings.breaker_keys_max,
        window_s=settings.breaker_window_ms / 1_000,
    )


class StoreGuard:
    """Runs the operations of one store, named as in the metric `shutterline_breaker_state`."""

    def __init__(
        self,
        store: str,
        breaker: Breaker,
        *,
        timeout_s: float | None,
        errors: tuple[type[Exception], ...],
        keys: KeyBreakers | None = None,
        is_final: Callable[[Exception], bool] = lambda _: False,
        kind_of: Callable[[Exception], str] = lambda error: type(error).__name__,
    ) -> None:
        """`timeout_s` bounds an operation. `errors` are the classes of the driver's errors.

        Without `keys`, a slow key has no breaker of its own.

        `is_final` returns True for an error that is not an outage. `kind_of` returns the label of
        an error in the metric, so it must have few different values.
        """
        self._store = store
        self._breaker = breaker
        self._keys = keys
        self._timeout_s = timeout_s
        self._errors: tuple[type[Exception], ...] = (*errors, TimeoutError)
        self._is_final = is_final
        self._kind_of = kind_of
        # During an outage every operation fails.
        self._log = LimitedLog(log, fields={"store": store})
        self._gauge = BREAKER.labels(store)  # A lookup costs more than setting the gauge.
        self._slow_key_rejections = SLOW_KEY_REJECTIONS.labels(store)

    async def run(
        self,
        operation: str,
        run: Callable[..., Awaitable[Any]],
        *args: Any,
        key: bytes | None = None,
        timeout_s: float | None = None,
        **named: Any,
    ) -> Any:
        """Return the result of `run(*args, **named)`; `timeout_s` replaces the guard's own.

        Raises:
            StoreUnavailable: A breaker is open, the time is up, or the store failed or refused.
        """

        async def bounded() -> Any:
            async with asyncio.timeout(self._timeout_s if timeout_s is None else timeout_s):
                return await run(*args, **named)

        return await self.judge(operation, bounded, key=key)

    async def judge(
        self, operation: str, run: Callable[[], Awaitable[Any]], *, key: bytes | None = None
    ) -> Any:
        """Like `run`, for what has a deadline of its own, after which it fails with one of the `errors`."""
        self._admit(operation, key)
        try:
            result = await run()
        except self._errors as error:
            if self._is_final(error):
                self._succeeded(key)
                raise
            self._report(operation, error)
            self._failed(key)
            raise StoreUnavailable(self._store, operation, f"{type(error).__name__} {error}") from error
        self._succeeded(key)
        return result

    def _admit(self, operation: str, key: bytes | None) -> None:
        # The key is judged first: if the store's breaker is open, its one trial must not be spent on
        # a key that is known to fail.
        if key is not None and self._keys is not None and not self._keys.allows(key, monotonic()):
            self._slow_key_rejections.inc()
            raise StoreUnavailable(self._store, operation, "the breaker of its key is open")
        if not self._breaker.allows(monotonic()):
            raise StoreUnavailable(self._store, operation, "its breaker is open")

    def _report(self, operation: str, error: Exception) -> None:
        kind = self._kind_of(error)
        STORE_ERRORS.labels(self._store, kind).inc()
        self._log.warning(kind, "%s failed %s: %s %s", self._store, operation, kind, error)

    def _succeeded(self, key: bytes | None) -> None:
        if key is not None and self._keys is not None:
            self._keys.succeeded(key)
        was_open = self._breaker.is_open
        self._breaker.succeeded(monotonic(), key)
        if was_open:
            self._gauge.set(self._breaker.is_open)

    def _failed(self, key: bytes | None) -> None:
        now_s = monotonic()
        if key is not None and self._keys is not None:
            self._keys.failed(key, now_s)
        self._breaker.failed(now_s, key)
        self._gauge.set(self._breaker.is_open)
