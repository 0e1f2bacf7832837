"""Retries with backoff, and after fixed waits."""

from collections.abc import Sequence

import pytest

from streams.errors import StoreUnavailable
from streams.retrying import API_ROW_WAITS_S, api_row_waits_s, until_true, with_backoff


class Attempts:
    """Each call takes the next of `outcomes`: an error is raised, anything else is returned."""

    def __init__(self, *outcomes: object) -> None:
        self._outcomes = list(outcomes)
        self.count = 0

    async def __call__(self) -> object:
        self.count += 1
        outcome = self._outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


def is_value_error(error: BaseException) -> bool:
    return isinstance(error, ValueError)


def unavailable() -> StoreUnavailable:
    return StoreUnavailable("s3", "put", "a test said so")


async def test_an_operation_is_retried_until_it_succeeds() -> None:
    """Every failure is reported with the number of tries so far."""
    attempts, failures = Attempts(unavailable(), unavailable(), "done"), list[int]()
    retrying = with_backoff(
        on=StoreUnavailable, first_s=0, max_s=0, after_failure=lambda _, tries: failures.append(tries)
    )

    assert await retrying(attempts) == "done"
    assert failures == [1, 2]


async def test_after_the_last_try_its_error_is_raised() -> None:
    """The caller gets the operation's error, not an error of the retry library."""
    attempts = Attempts(*(unavailable() for _ in range(5)))

    with pytest.raises(StoreUnavailable):
        await with_backoff(on=StoreUnavailable, first_s=0, max_s=0, tries_max=3)(attempts)
    assert attempts.count == 3


async def test_another_error_is_not_retried() -> None:
    """An error that is not in `on` is a bug, and a retry would hide it."""
    attempts = Attempts(ValueError("a bug"), "done")

    with pytest.raises(ValueError, match="a bug"):
        await with_backoff(on=StoreUnavailable, first_s=0, max_s=0)(attempts)
    assert attempts.count == 1


@pytest.mark.parametrize(
    ("outcomes", "result", "count"),
    [((False, True), True, 2), ((ValueError("x"), True), True, 2), ((False,) * 3, False, 3)],
)
async def test_fixed_waits_end_with_the_last_result(
    outcomes: tuple[object, ...], result: bool, count: int
) -> None:
    """The operation is retried while it returns False or its error is retryable."""
    attempts = Attempts(*outcomes)

    assert await until_true((0, 0), is_retryable=is_value_error)(attempts) is result
    assert attempts.count == count


async def test_without_waits_an_operation_is_tried_once() -> None:
    attempts = Attempts(False)

    assert await until_true((), is_retryable=is_value_error)(attempts) is False
    assert attempts.count == 1


@pytest.mark.parametrize(
    ("published_ms", "waits_s"),
    [
        (1_000_000, API_ROW_WAITS_S),
        (1_000_000 - 15_300, API_ROW_WAITS_S),
        (1_000_000 - 15_301, ()),
        (9_000_000, API_ROW_WAITS_S),
        (-1, ()),
    ],
)
def test_a_row_is_waited_for_as_long_as_the_api_may_still_write_it(
    published_ms: int, waits_s: Sequence[float]
) -> None:
    """The waits are 5.3 s together, and each of two clocks may be 5 s wrong. One may also be far ahead."""
    assert waits_s == api_row_waits_s(published_ms, now_ms=1_000_000, clock_difference_ms_max=5_000)
