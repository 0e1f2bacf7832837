"""The in-memory twin of the edges: it writes down what was purged."""

from collections.abc import Sequence


class MemoryCdn:
    """`purged` has every key in the order of the calls, repeats included."""

    def __init__(self) -> None:
        self.purged: list[str] = []

    async def purge(self, object_keys: Sequence[str]) -> None:
        self.purged += object_keys
