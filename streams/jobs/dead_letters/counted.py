"""Runs that operators have counted and may confirm, in the memory of one process."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from secrets import token_urlsafe

from cachetools import TTLCache

from streams.jobs.dead_letters.choice import Choice
from streams.jobs.dead_letters.run import Action

# A count that is older says nothing of now.
COUNTED_S_MAX = 600
COUNTS_MAX = 100  # Above that, those that were not used for the longest time are forgotten.
ID_BYTES = 16


class CountUnderWay(Exception):
    """This process counts already."""


class CountNotKnown(Exception):
    """It was used, is too old, or was made by another process."""


@dataclass(frozen=True, slots=True)
class Counted:
    """What was counted: `choice` has the ends of the topics at that time."""

    action: Action
    choice: Choice


class CountedRuns:
    """The counts of this process by an id that cannot be guessed; `clock_s` is monotonic."""

    def __init__(self, clock_s: Callable[[], float]) -> None:
        self._known: TTLCache[str, Counted] = TTLCache(COUNTS_MAX, COUNTED_S_MAX, clock_s)
        self._is_counting = False

    @contextmanager
    def counting(self) -> Iterator[None]:
        """Count one run at a time, because each count reads all letters that wait.

        Raises:
            CountUnderWay: Another count has not ended.
        """
        if self._is_counting:
            raise CountUnderWay
        self._is_counting = True
        try:
            yield
        finally:
            self._is_counting = False

    def remember(self, counted: Counted) -> str:
        """Return the id by which it may be confirmed."""
        count = token_urlsafe(ID_BYTES)
        self._known[count] = counted
        return count

    def of(self, count: str) -> Counted:
        """Return what was counted.

        Raises:
            CountNotKnown: Nothing was, or it may not be confirmed any more.
        """
        try:
            return self._known[count]
        except KeyError:
            raise CountNotKnown from None

    def forget(self, count: str) -> None:
        """Let nobody confirm it again."""
        self._known.pop(count, None)
