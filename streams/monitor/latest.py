"""The last value of a source, as long as it is fresh."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(slots=True)
class Latest(Generic[T]):
    """What is older than `fresh_s` seconds is not returned, so nobody takes it for the truth of now."""

    fresh_s: float
    clock_s: Callable[[], float]
    _value: T | None = field(default=None, init=False)
    _at_s: float = field(default=float("-inf"), init=False)

    def set(self, value: T, at_s: float) -> None:
        """Take a value that was asked for at `at_s`."""
        self._value, self._at_s = value, at_s

    def get(self) -> T | None:
        """Return the value; None if it is too old, or there is none."""
        return self._value if self.age_s() <= self.fresh_s else None

    def age_s(self) -> float:
        """Return the age of the value; infinite without one."""
        return self.clock_s() - self._at_s
