"""How operations are retried: with jittered exponential backoff, or after a few fixed waits."""

from collections.abc import Callable, Sequence
from logging import WARNING, Logger
from operator import not_
from typing import Any, TypeVar

from tenacity import (
    AsyncRetrying,
    RetryCallState,
    before_sleep_log,
    retry_if_exception,
    retry_if_exception_type,
    retry_if_result,
    stop_after_attempt,
    stop_never,
    wait_chain,
    wait_fixed,
    wait_random_exponential,
)

START_WAIT_FIRST_S, START_WAIT_MAX_S = 0.5, 5
# The API publishes an event before it writes its row. A request has ended long before the last of these
# waits, so if there is no row after it, there never will be.
API_ROW_WAITS_S = (0.05, 0.25, 1.0, 4.0)
E = TypeVar("E", bound=Exception)


def with_backoff(
    *,
    first_s: float,
    max_s: float,
    tries_max: int | None = None,
    on: type[E],
    log: Logger | None = None,
    after_failure: Callable[[E, int], None] = lambda _error, _tries: None,
) -> AsyncRetrying:
    """Retry after an error of the class `on`, with jittered exponential backoff.

    Each wait is random. Its maximum is `first_s` at first, then doubles up to `max_s`.

    Without `tries_max` it retries until the operation succeeds; otherwise the last error is raised.
    `log` gets a warning before each wait. `after_failure` gets the error and the number of tries.
    """

    def report(state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        if isinstance(error, on):
            after_failure(error, state.attempt_number)

    return AsyncRetrying(
        retry=retry_if_exception_type(on),
        wait=wait_random_exponential(multiplier=first_s, max=max_s),
        stop=stop_never if tries_max is None else stop_after_attempt(tries_max),
        after=report,
        before_sleep=None if log is None else before_sleep_log(log, WARNING),
        reraise=True,
    )


def while_starting(*, on: type[Exception], log: Logger) -> AsyncRetrying:
    """Retry a step of a process's start until the store that it needs is there; one line of `log` a retry."""
    return with_backoff(
        on=on,
        first_s=START_WAIT_FIRST_S,
        max_s=START_WAIT_MAX_S,
        after_failure=lambda error, tries: log.warning("still starting, after %d tries: %s", tries, error),
    )


def until_true(waits_s: Sequence[float], *, is_retryable: Callable[[BaseException], bool]) -> AsyncRetrying:
    """Retry after each of `waits_s`, while the operation returns False or raises a retryable error.

    After the last try, its result is returned or its error is raised.
    """
    return AsyncRetrying(
        retry=retry_if_exception(is_retryable) | retry_if_result(not_),
        wait=wait_chain(*map(wait_fixed, waits_s or (0,))),
        stop=stop_after_attempt(1 + len(waits_s)),
        retry_error_callback=_last_outcome,
    )


def api_row_waits_s(published_ms: int, *, now_ms: int, clock_difference_ms_max: int) -> Sequence[float]:
    """Return how long to wait for the row of an event that the API published at `published_ms`.

    Nothing is left to wait for once the API has written it, or never will: anybody can claim to be the API.
    Its clock and ours may each differ by `clock_difference_ms_max` from that of Kafka.
    """
    age_ms_min = now_ms - published_ms - 2 * clock_difference_ms_max
    return () if age_ms_min > sum(API_ROW_WAITS_S) * 1_000 else API_ROW_WAITS_S


def _last_outcome(state: RetryCallState) -> Any:
    assert state.outcome is not None
    return state.outcome.result()
