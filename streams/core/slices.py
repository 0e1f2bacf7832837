"""Cut a sequence into pieces of bounded length."""

from collections.abc import Iterator, Sequence
from typing import TypeVar

T = TypeVar("T")


def slices(items: Sequence[T], length_max: int) -> Iterator[Sequence[T]]:
    """Yield pieces of at most `length_max` items, in order; no piece for an empty sequence."""
    for start in range(0, len(items), length_max):
        yield items[start : start + length_max]
