"""The guard of one store: its breaker, its deadline, and what its errors mean.

Every error of a store is an outage, with two exceptions. In an outage the caller gets
`StoreUnavailable` and waits, and the breaker counts a failure. A refusal by a running store is an
outage too (out of memory, a rotated key, a revoked permission), because an operator can end it
without a change of this code.

The two exceptions are a request that can never succeed, because our own code built it wrongly, and
an error that the caller expects as a result. They are raised unchanged, and the breaker counts a
success.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Any

from streams.core.breaker import Breaker
from streams.errors import StoreUnavailable
from streams.metrics import BREAKER, STORE_ERRORS
from streams.settings import BreakerSettings

log = logging.getLogger(__name__)
LOG_EVERY_S = 10.0


def breaker_of(settings: BreakerSettings) -> Breaker:
    """Make a breaker with the limits of the settings."""
    return Breaker(failures_max=settings.breaker_failures_max, open_s=settings.breaker_open_ms / 1_000)


class StoreGuard:
    """Runs the operations of one store, named as in the metric `shutterline_breaker_state`."""

    def __init__(
        self,
        store: str,
        breaker: Breaker,
        *,
        timeout_s: float | None,
        errors: tuple[type[Exception], ...],
        is_final: Callable[[Exception], bool] = lambda _: False,
        kind_of: Callable[[Exception], str] = lambda error: type(error).__name__,
    ) -> None:
        """`timeout_s` bounds an operation. `errors` are the classes of the driver's errors.

        `is_final` returns True for an error that is not an outage. `kind_of` returns the label of
        an error in the metric, so it must have few different values.
        """
        self._store = store
        self._breaker = breaker
        self._timeout_s = timeout_s
        self._errors: tuple[type[Exception], ...] = (*errors, TimeoutError)
        self._is_final = is_final
        self._kind_of = kind_of
        self._next_log_s: dict[str, float] = {}
        self._gauge = BREAKER.labels(store)  # A lookup costs more than setting the gauge.

    async def run(
        self,
        operation: str,
        run: Callable[..., Awaitable[Any]],
        *args: Any,
        timeout_s: float | None = None,
        **named: Any,
    ) -> Any:
        """Return the result of `run(*args, **named)`; `timeout_s` replaces the guard's own.

        Raises:
            StoreUnavailable: The breaker is open, the time is up, or the store failed or refused.
        """
        if not self._breaker.allows(monotonic()):
            raise StoreUnavailable(self._store, operation, "its breaker is open")
        try:
            async with asyncio.timeout(self._timeout_s if timeout_s is None else timeout_s):
                result = await run(*args, **named)
        except self._errors as error:
            if self._is_final(error):
                self._succeeded()
                raise
            self._report(operation, error)
            self._breaker.failed(monotonic())
            self._gauge.set(self._breaker.is_open)
            raise StoreUnavailable(self._store, operation, f"{type(error).__name__} {error}") from error
        self._succeeded()
        return result

    def _report(self, operation: str, error: Exception) -> None:
        kind = self._kind_of(error)
        STORE_ERRORS.labels(self._store, kind).inc()
        # During an outage every operation fails, so each kind of error is logged at most once in
        # ten seconds.
        now_s = monotonic()
        if now_s >= self._next_log_s.get(kind, 0.0):
            self._next_log_s[kind] = now_s + LOG_EVERY_S
            log.warning("%s failed %s: %s %s", self._store, operation, kind, error)

    def _succeeded(self) -> None:
        self._breaker.succeeded()
        self._gauge.set(self._breaker.is_open)
