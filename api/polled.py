"""A set of the database that every API process needs in memory, a few seconds old."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Versioned(Protocol[T_co]):
    """A stored set with a version, which usually changes with the set."""

    async def version(self) -> str: ...

    async def all(self) -> T_co: ...


@dataclass(slots=True, kw_only=True)
class Polled(Generic[T]):
    """Reads the version of `source` at each refresh, and the set if the version has changed.

    Versions are ordered by the clocks of their writers, so a writer whose clock is behind does not
    change the version. The set is therefore also read every `reload_s` seconds. `use` gets each set
    that was read. `clock_s` is monotonic.
    """

    source: Versioned[T]
    use: Callable[[T], None]
    reload_s: float
    clock_s: Callable[[], float]
    _version: str | None = field(default=None, init=False)
    _known_s: float = field(default=float("-inf"), init=False)
    _read_s: float = field(default=float("-inf"), init=False)

    def age_s(self) -> float:
        """Return how old the set may be, in seconds; infinite before the first refresh."""
        return self.clock_s() - self._known_s

    async def refresh(self) -> None:
        """Read the set if it has changed.

        Raises:
            StoreUnavailable: The database did not respond; the set grows older.
        """
        began_s = self.clock_s()
        # Read the version first: if the set changes between the two reads, the version changes again,
        # and the next refresh reads the set again.
        version = await self.source.version()
        if version != self._version or began_s - self._read_s >= self.reload_s:
            self.use(await self.source.all())
            self._version, self._read_s = version, began_s
        self._known_s = began_s
