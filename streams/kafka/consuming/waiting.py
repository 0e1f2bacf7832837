"""Wait for a store: try again at once, then with jitter a few times, then until it answers."""

import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, wait_random_exponential

from streams.errors import StoreUnavailable
from streams.metrics import RETRIES, WAITING
from streams.settings import Settings

T = TypeVar("T")
log = logging.getLogger(__name__)


class PartitionRevoked(Exception):
    """The partition went to another worker while its store was waited for."""


async def retry_until_available(
    settings: Settings, run: Callable[[], Awaitable[T]], *, is_assigned: Callable[[], bool]
) -> T:
    """The answer of `run`, however long its stores take to come back.

    Raises:
        NoLongerOurs: The partition was taken away; another worker handles the record.
    """

    def failed(error: StoreUnavailable, tries: int) -> None:
        RETRIES.labels(error.store).inc()
        if tries == settings.store_attempts_max:
            log.warning("waiting for %s: %s", error.store, error)

    def after_try(state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        if isinstance(error, StoreUnavailable):
            failed(error, 1 + state.attempt_number)

    try:
        return await run()  # Nearly always; what follows costs more than most calls do.
    except StoreUnavailable as error:
        failed(error, 1)
    waiting = False
    try:
        async for attempt in AsyncRetrying(
            retry=retry_if_exception_type(StoreUnavailable),
            wait=wait_random_exponential(multiplier=0.05, max=settings.store_wait_s_max),
            after=after_try,
        ):
            with attempt:
                if not is_assigned():
                    raise PartitionRevoked
                if attempt.retry_state.attempt_number >= settings.store_attempts_max and not waiting:
                    waiting = True
                    WAITING.inc()
                return await run()
    finally:
        if waiting:
            WAITING.dec()
    raise AssertionError("AsyncRetrying without a stop never ends")
