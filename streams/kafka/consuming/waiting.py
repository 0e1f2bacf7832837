"""Retry an operation while its store is unavailable, with a random backoff, until it succeeds."""

import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from streams.errors import StoreUnavailable
from streams.metrics import RETRIES, WAITING
from streams.retrying import with_backoff
from streams.settings import RetrySettings

BACKOFF_S = 0.05
T = TypeVar("T")
log = logging.getLogger(__name__)


class PartitionRevoked(Exception):
    """The partition went to another worker while this worker waited."""


async def retry_until_available(
    retry: RetrySettings,
    run: Callable[[], Awaitable[T]],
    *,
    is_assigned: Callable[[], bool],
    backoff_s: float = BACKOFF_S,
) -> T:
    """Return the result of `run`; retries without a limit while a store is unavailable.

    The first wait is about `backoff_s`. After `store_attempts_max` failed tries, the operation is
    logged once as waiting, and the metric counts it as waiting from then on.

    Raises:
        PartitionRevoked: The partition was taken away; another worker handles the record.
    """

    def failed(error: StoreUnavailable, tries: int) -> None:
        RETRIES.labels(error.store).inc()
        if tries == retry.store_attempts_max:
            log.warning(
                "waiting for %s: %s",
                error.store,
                error,
                extra={"store": error.store, "operation": error.operation},
            )

    try:
        # The first try needs no retry loop: nearly every call succeeds, and setting up the loop
        # costs more than most calls do.
        return await run()
    except StoreUnavailable as error:
        failed(error, 1)
    is_waiting = False
    try:
        async for attempt in with_backoff(
            on=StoreUnavailable,
            first_s=backoff_s,
            max_s=retry.store_wait_s_max,
            after_failure=lambda error, tries: failed(error, 1 + tries),
        ):
            with attempt:
                if not is_assigned():
                    raise PartitionRevoked
                if attempt.retry_state.attempt_number >= retry.store_attempts_max and not is_waiting:
                    is_waiting = True
                    WAITING.inc()
                return await run()
    finally:
        if is_waiting:
            WAITING.dec()
    raise AssertionError("AsyncRetrying without a stop never ends")
