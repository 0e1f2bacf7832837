"""When a partition must stop: too many dead letters in a row, or in the last `window_records`.

Without this limit, after a bad deploy of a publisher or of this consumer, the consumer would turn
every record of the topic into a dead letter. But one bad publisher must not stop the others. So
when the limit is reached and one source stands out as the cause, that source is set aside: its
records are no longer counted here, whatever their outcome, until it is well again. Pure; one
instance for each partition. The memory is bounded: by the window, and by `set_aside_max` sources.
"""

from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from sys import intern
from typing import TypeAlias

# Longer sources are cut, so two sources that begin with the same 200 characters count as one.
SOURCE_CHARS_MAX = 200

# The source of a record that does not name one is None. None never stands out.
Source: TypeAlias = str | None


@dataclass(frozen=True, slots=True)
class Stop:
    """The partition must stop after this record."""

    reason: str


@dataclass(frozen=True, slots=True)
class SetAside:
    """From the next record on, the source does not count. The partition goes on."""

    source: str
    reason: str


@dataclass(frozen=True, slots=True)
class TakenBack:
    """The source is well again, so from the next record on it counts like every other source."""

    source: str


Verdict: TypeAlias = Stop | SetAside | TakenBack


@dataclass(frozen=True, slots=True)
class LimitRules:
    """The limits of a partition.

    A source stands out if at least `source_share_min` of the dead letters that reach the limit are
    its own. `own_source` is this system's API. It is never set aside: if its records are bad, this
    system is broken, and going on would lose what it has acknowledged.
    """

    in_a_row_max: int
    window_records: int
    ratio_max: float
    source_share_min: float
    set_aside_max: int
    own_source: str


@dataclass(slots=True)
class DeadLetterLimit:
    """Counts outcomes in the order of offsets."""

    rules: LimitRules
    # The dead letters since the last handled record, by source.
    _row: Counter[Source] = field(default_factory=Counter, init=False)
    _window: deque[tuple[Source, bool]] = field(default_factory=deque, init=False)
    # The dead letters of the window, by source.
    _dead: Counter[Source] = field(default_factory=Counter, init=False)
    # For each source that is set aside, how many of its records were handled in a row.
    _set_aside: dict[str, int] = field(default_factory=dict, init=False)

    def record(self, source: Source, dead: bool) -> Verdict | None:
        """Record one outcome; returns what follows from it, None if nothing does."""
        if source is not None:
            source = intern(source[:SOURCE_CHARS_MAX])  # The window holds each text once.
        if source in self._set_aside:
            return self._watch(source, dead)
        self._count(source, dead)
        breach = self._breach()
        if breach is None:
            return None
        reason, dead_letters = breach
        culprit = self._culprit(dead_letters)
        if culprit is None:
            return Stop(reason)
        self._set_aside[culprit] = 0
        self._forget(culprit)
        return SetAside(culprit, f"{reason}, {dead_letters[culprit]} of them its own")

    def _count(self, source: Source, dead: bool) -> None:
        self._window.append((source, dead))
        if dead:
            self._row[source] += 1
            self._dead[source] += 1
        else:
            self._row.clear()
        if len(self._window) > self.rules.window_records:
            oldest, was_dead = self._window.popleft()
            if was_dead:
                self._dead[oldest] -= 1
                if not self._dead[oldest]:
                    del self._dead[oldest]

    def _breach(self) -> tuple[str, Counter[Source]] | None:
        """Return which limit is reached, and by the dead letters of which sources."""
        in_a_row = self._row.total()
        if in_a_row >= self.rules.in_a_row_max:
            return f"{in_a_row} dead letters in a row (limit {self.rules.in_a_row_max})", self._row.copy()
        dead, window_records = self._dead.total(), self.rules.window_records
        if len(self._window) == window_records and dead > self.rules.ratio_max * window_records:
            return f"{dead} of the last {window_records} records were dead letters", self._dead.copy()
        return None

    def _culprit(self, dead_letters: Counter[Source]) -> str | None:
        """Return the source that stands out, None if none does.

        If another source is set aside already, somebody's record must have been handled lately.
        Otherwise the fault is more likely ours than that of one source after the other.
        """
        source, count = dead_letters.most_common(1)[0]
        if source is None or source == self.rules.own_source:
            return None
        if count < self.rules.source_share_min * dead_letters.total():
            return None
        if len(self._set_aside) >= self.rules.set_aside_max:
            return None
        if self._set_aside and not _somebody_is_handled(self._window, but=source):
            return None
        return source

    def _forget(self, source: str) -> None:
        """Count as if the source had never sent anything."""
        records = [(other, dead) for other, dead in self._window if other != source]
        self._window.clear()
        self._row.clear()
        self._dead.clear()
        for other, dead in records:
            self._count(other, dead)

    def _watch(self, source: str, dead: bool) -> TakenBack | None:
        """Take the source back once as many of its records in a row are handled as had to fail."""
        self._set_aside[source] = 0 if dead else self._set_aside[source] + 1
        if self._set_aside[source] < self.rules.in_a_row_max:
            return None
        del self._set_aside[source]
        return TakenBack(source)


def _somebody_is_handled(records: Iterable[tuple[Source, bool]], *, but: str) -> bool:
    return any(not dead for source, dead in records if source != but)
