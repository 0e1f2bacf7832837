"""The in-memory twin of the CDN: it records what was purged."""

from collections.abc import Sequence

from streams.ports.cdn import Cdn


class MemoryCdn(Cdn):
    """`purged` has every key in the order of the calls, including repeated keys."""

    def __init__(self) -> None:
        self.purged: list[str] = []

    async def purge(self, object_keys: Sequence[str]) -> None:
        self.purged += object_keys
