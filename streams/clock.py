"""The wall clock, the default of functions and classes that take a clock; tests pass their own."""

from time import time_ns


def unix_us() -> int:
    """Return the time now, in microseconds since 1970."""
    return time_ns() // 1_000


def unix_ms() -> int:
    """Return the time now, in milliseconds since 1970."""
    return time_ns() // 1_000_000
