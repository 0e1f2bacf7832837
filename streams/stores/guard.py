"""The guard of one store: its breaker, its deadline, and what its errors mean.

An error of a store means one of two things. Either nothing is known about the operation, so the
caller gets `StoreUnavailable` and the breaker counts a failure. Or the store understood the operation
and refused it: the breaker counts a success, and the driver's error is raised unchanged, because
waiting would not help.
"""

import asyncio
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Any

from streams.core.breaker import Breaker
from streams.errors import StoreUnavailable
from streams.metrics import BREAKER
from streams.settings import BreakerSettings


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
        is_refusal: Callable[[Exception], bool] = lambda _: False,
    ) -> None:
        """`timeout_s` bounds an operation. `errors` are the driver's errors; `is_refusal` tells which
        of them are refusals."""
        self._store = store
        self._breaker = breaker
        self._timeout_s = timeout_s
        self._errors: tuple[type[Exception], ...] = (*errors, TimeoutError)
        self._is_refusal = is_refusal
        self._gauge = BREAKER.labels(store)  # Looked up once: that costs more than setting it.

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
            StoreUnavailable: The breaker is open, the time is up, or the store is unavailable.
        """
        if not self._breaker.allows(monotonic()):
            raise StoreUnavailable(self._store, operation, "its breaker is open")
        try:
            async with asyncio.timeout(self._timeout_s if timeout_s is None else timeout_s):
                result = await run(*args, **named)
        except self._errors as error:
            if self._is_refusal(error):
                self._succeeded()
                raise
            self._breaker.failed(monotonic())
            self._gauge.set(self._breaker.is_open)
            raise StoreUnavailable(self._store, operation, f"{type(error).__name__} {error}") from error
        self._succeeded()
        return result

    def _succeeded(self) -> None:
        self._breaker.succeeded()
        self._gauge.set(self._breaker.is_open)
