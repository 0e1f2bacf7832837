"""What dead letters there are: how many by topic and reason, and the newest. Pure, in bounded memory."""

import heapq
from dataclasses import dataclass, field

from streams.core.dead_letters import DeadLetter
from streams.ports.coordination import Outcome


@dataclass(frozen=True, slots=True, order=True)
class Entry:
    """A dead letter without its value. Entries are ordered by the time of their failures."""

    failed_at_us: int
    topic: str
    partition: int
    offset: int
    reason: str = field(compare=False)
    error: str = field(compare=False)
    attempt: int = field(compare=False)
    key: bytes | None = field(compare=False)


@dataclass(slots=True)
class Group:
    """The dead letters of one topic and reason. The times and the example are of those that wait."""

    waiting: int = 0
    replayed: int = 0
    discarded: int = 0
    oldest_us: int | None = None
    newest_us: int | None = None
    example: str = ""

    def add(self, letter: DeadLetter, outcome: Outcome | None) -> None:
        """Count one more dead letter."""
        if outcome is Outcome.REPLAYED:
            self.replayed += 1
        elif outcome is Outcome.DISCARDED:
            self.discarded += 1
        else:
            self.waiting += 1
            failed_at_us = letter.failed_at_us
            self.oldest_us = failed_at_us if self.oldest_us is None else min(self.oldest_us, failed_at_us)
            if self.newest_us is None or failed_at_us >= self.newest_us:
                self.newest_us, self.example = failed_at_us, letter.error


@dataclass(slots=True)
class Listing:
    """`groups` by topic and reason, and the newest `newest_max` dead letters that wait."""

    newest_max: int
    groups: dict[tuple[str, str], Group] = field(default_factory=dict, init=False)
    _newest: list[Entry] = field(default_factory=list, init=False)

    def add(self, letter: DeadLetter, outcome: Outcome | None) -> None:
        """Count one more dead letter."""
        self.groups.setdefault((letter.topic.name, letter.reason), Group()).add(letter, outcome)
        if outcome is None and self.newest_max:
            entry = Entry(
                failed_at_us=letter.failed_at_us,
                topic=letter.topic.name,
                partition=letter.partition,
                offset=letter.offset,
                reason=letter.reason,
                error=letter.error,
                attempt=letter.failure.attempt if letter.failure else 1,
                key=letter.key,
            )
            if len(self._newest) < self.newest_max:
                heapq.heappush(self._newest, entry)
            else:
                heapq.heappushpop(self._newest, entry)

    def newest(self) -> list[Entry]:
        """Return the newest dead letters that wait, the newest first."""
        return sorted(self._newest, reverse=True)
