"""The wall clock as the default of what takes a clock; tests give their own."""

from time import time_ns


def unix_ms() -> int:
    """Return the time now, in milliseconds since 1970."""
    return time_ns() // 1_000_000
