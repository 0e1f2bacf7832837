"""The guard of a store: which errors are outages, and when its breaker rejects all calls."""

import asyncio

import pytest

from streams.core.limits.breaker import Breaker, KeyBreakers
from streams.errors import StoreUnavailable
from streams.metrics import BREAKER, STORE_ERRORS
from streams.stores.guard import StoreGuard


class DriverError(Exception):
    pass


class MalformedRequest(DriverError):
    pass


def guard(*, failures_max: int = 2, timeout_s: float | None = None) -> StoreGuard:
    return StoreGuard(
        "test",
        Breaker(failures_max=failures_max, open_s=60.0),
        timeout_s=timeout_s,
        errors=(DriverError,),
        is_final=lambda error: isinstance(error, MalformedRequest),
    )


async def succeed(value: str) -> str:
    return value


async def fail(error: Exception) -> None:
    raise error


async def test_a_result_is_returned() -> None:
    """The guard passes the arguments to the operation."""
    assert await guard().run("get", succeed, value="result") == "result"


async def test_a_drivers_error_is_an_outage() -> None:
    """Callers get `StoreUnavailable`; the driver's error is its `__cause__`."""
    with pytest.raises(StoreUnavailable, match="test did not answer get: DriverError broken") as raised:
        await guard().run("get", fail, DriverError("broken"))
    assert isinstance(raised.value.__cause__, DriverError)


async def test_no_result_in_time_is_an_outage() -> None:
    """If a call has its own deadline, it replaces the guard's."""
    with pytest.raises(StoreUnavailable, match="TimeoutError"):
        await guard(timeout_s=0.001).run("get", asyncio.Event().wait)
    with pytest.raises(StoreUnavailable, match="TimeoutError"):
        await guard(timeout_s=60).run("get", asyncio.Event().wait, timeout_s=0.001)


@pytest.mark.parametrize("error", [MalformedRequest("no such table"), KeyError("a bug")])
async def test_final_errors_and_bugs_are_raised_unchanged(error: Exception) -> None:
    """Waiting would not help, so the breaker stays closed."""
    guarded = guard(failures_max=1)

    for _ in range(2):
        with pytest.raises(type(error)):
            await guarded.run("get", fail, error)


async def test_the_breaker_opens_when_half_of_the_operations_fail() -> None:
    """A final error counts as a success; the gauge shows whether the breaker is open."""
    guarded = guard(failures_max=2)
    errors = [MalformedRequest(), MalformedRequest(), DriverError(), DriverError()]

    for error in errors:
        assert BREAKER.labels("test")._value.get() == 0
        with pytest.raises((StoreUnavailable, MalformedRequest)):
            await guarded.run("get", fail, error)

    assert BREAKER.labels("test")._value.get() == 1
    with pytest.raises(StoreUnavailable, match="its breaker is open"):
        await guarded.run("get", succeed, "result")


async def test_an_outage_is_counted_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    """Failures are counted by store and error class; repeated ones of a class are logged once."""
    guarded = guard(failures_max=10)
    counter = STORE_ERRORS.labels("test", "DriverError")
    before = counter._value.get()

    for _ in range(3):
        with pytest.raises(StoreUnavailable):
            await guarded.run("get", fail, DriverError("broken"))

    assert counter._value.get() - before == 3
    assert [record.getMessage() for record in caplog.records] == ["test failed get: DriverError broken"]


async def test_a_slow_key_is_rejected_alone() -> None:
    """However often one key fails, operations on other keys and without a key are not rejected."""
    guarded = StoreGuard(
        "test",
        Breaker(failures_max=3, open_s=60.0),
        timeout_s=None,
        errors=(DriverError,),
        keys=KeyBreakers(failures_max=3, open_s=60.0, keys_max=10),
    )
    for _ in range(20):
        with pytest.raises(StoreUnavailable):
            await guarded.run("get", fail, DriverError("too slow"), key=b"slow")

    assert await guarded.run("get", succeed, "result", key=b"other") == "result"
    assert await guarded.run("get", succeed, "result") == "result"
    with pytest.raises(StoreUnavailable, match="the breaker of its key is open"):
        await guarded.run("get", succeed, "result", key=b"slow")
