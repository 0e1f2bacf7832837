"""How many dead letters wait for an operator, why, and since when."""

from array import array
from collections import Counter, deque
from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

from streams.clock import unix_ms
from streams.jobs.dead_letters.ports import DeadLetterLog
from streams.metrics import DEAD_LETTERS_OLDEST, DEAD_LETTERS_WAITING
from streams.ports.coordination import LETTERS_A_BLOCK, HandledDeadLetters
from topics.catalogue import Topic, dead_letter_of, topics_with_dead_letters

# Of a partition, the oldest, which are what an alarm is about: 40 MB. Later ones are counted once these are
# handled.
LETTERS_MAX = 5_000_000
# Reads whose ends are remembered: of one every 15 s, those of ten minutes.
READS_MAX = 41
# Reasons that are counted by name. There are fewer; what a later version may add beyond that is `OTHER`.
REASONS_MAX = 64
OTHER = "other"
Json = dict[str, Any]


@dataclass(slots=True)
class _Block:
    """By offset, Kafka's time of each letter that waits, and 0 for the others; and how many wait.

    A reason is its number in `DeadLettersDepth`.
    """

    times_ms: "array[int]" = field(default_factory=lambda: array("q", bytes(8 * LETTERS_A_BLOCK)))
    reasons: "array[int]" = field(default_factory=lambda: array("B", bytes(LETTERS_A_BLOCK)))
    by_reason: Counter[int] = field(default_factory=Counter)
    waiting: int = 0

    def add(self, within: int, time_ms: int, reason: int) -> None:
        self.remove(within)
        self.waiting += 1
        self.times_ms[within], self.reasons[within] = time_ms, reason
        self.by_reason[reason] += 1

    def remove(self, within: int) -> None:
        if self.times_ms[within]:
            self.waiting -= 1
            self.times_ms[within] = 0
            self.by_reason[self.reasons[within]] -= 1


@dataclass(slots=True)
class _Partition:
    """Where reading goes on, and the blocks that have letters waiting."""

    position: int = 0
    blocks: dict[int, _Block] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicDepth:
    """The dead letters of one topic that wait. `oldest_ms` is Kafka's time of the first one.

    `per_minute` is how many came a minute in the last ten minutes; None before the second look.
    """

    topic: str
    waiting: int
    oldest_ms: int | None
    per_minute: float | None
    by_reason: Sequence[tuple[str, int]]

    def json(self, now_ms: int) -> Json:
        """Return the figures, with the age of the oldest at `now_ms`, and the reasons by their number."""
        age_s = None if self.oldest_ms is None else max(0, now_ms - self.oldest_ms) / 1_000
        return {
            "topic": self.topic,
            "waiting": self.waiting,
            "oldest_age_s": age_s,
            "per_minute": self.per_minute,
            "reasons": [{"reason": reason, "waiting": number} for reason, number in self.by_reason],
        }


@dataclass(slots=True)
class DeadLettersDepth:
    """Sets the gauges. The first `read` goes through all dead letters, later ones through the new ones.

    Each also looks up what was handled of the blocks that have letters waiting: up to `LETTERS_A_BLOCK` rows
    a block. One process is enough. `clock_s` is monotonic.
    """

    log: DeadLetterLog
    handled: HandledDeadLetters
    letters_max: int = LETTERS_MAX
    clock_ms: Callable[[], int] = unix_ms
    clock_s: Callable[[], float] = monotonic
    _partitions: dict[tuple[str, int], _Partition] = field(default_factory=dict, init=False)
    _reasons: list[str] = field(default_factory=lambda: [OTHER], init=False)
    # By topic: when, and where its logs ended then, all together.
    _ends: dict[str, deque[tuple[int, int]]] = field(default_factory=dict, init=False)
    topics: dict[str, TopicDepth] = field(default_factory=dict, init=False)
    # When the last complete reading began, by `clock_s`.
    read_s: float = field(default=float("-inf"), init=False)

    async def read(self) -> None:
        """Read what is new, and set the gauges of every topic.

        Raises:
            StoreUnavailable: Kafka or Cassandra did not respond; the gauges are as before for some topics.
        """
        began_s = self.clock_s()
        for topic in topics_with_dead_letters():
            logs = await self.log.offsets(topic)
            found = [
                await self._read_partition(topic, partition, offsets) for partition, offsets in logs.items()
            ]
            oldest_ms = min((oldest for _, oldest in found if oldest), default=None)
            age_ms = 0 if oldest_ms is None else max(0, self.clock_ms() - oldest_ms)
            waiting = sum(waiting for waiting, _ in found)
            DEAD_LETTERS_WAITING.labels(topic.name).set(waiting)
            DEAD_LETTERS_OLDEST.labels(topic.name).set(age_ms / 1_000)
            self.topics[topic.name] = TopicDepth(
                topic=topic.name,
                waiting=waiting,
                oldest_ms=oldest_ms,
                per_minute=self._per_minute(topic, sum(offsets.stop for offsets in logs.values())),
                by_reason=self._by_reason(topic),
            )
        self.read_s = began_s

    def _per_minute(self, topic: Topic, end: int) -> float | None:
        ends = self._ends.setdefault(topic.name, deque(maxlen=READS_MAX))
        if ends and end < ends[-1][1]:  # The topic was created again.
            ends.clear()
        ends.append((self.clock_ms(), end))
        took_ms = ends[-1][0] - ends[0][0]
        return (end - ends[0][1]) * 60_000 / took_ms if took_ms > 0 else None

    def _by_reason(self, topic: Topic) -> list[tuple[str, int]]:
        """Return the reasons of what waits, the most frequent first."""
        counts: Counter[int] = Counter()
        for (name, _), known in self._partitions.items():
            if name == topic.name:
                for block in known.blocks.values():
                    counts.update(block.by_reason)
        return [(self._reasons[number], count) for number, count in counts.most_common() if count]

    def _reason_number(self, reason: str) -> int:
        if reason not in self._reasons:
            if len(self._reasons) > REASONS_MAX:
                return 0
            self._reasons.append(reason)
        return self._reasons.index(reason)

    async def _read_partition(self, topic: Topic, partition: int, offsets: range) -> tuple[int, int]:
        """Return how many letters wait, and Kafka's time of the first one, 0 if there is none."""
        known = self._partitions.setdefault((topic.name, partition), _Partition())
        if known.position > offsets.stop:  # The topic was created again.
            known.position, known.blocks = 0, {}
        self._forget(known, offsets.start)
        await self._take_up(known, topic, partition, offsets)
        await self._strike_handled(known, topic, partition)
        waiting = sum(block.waiting for block in known.blocks.values())
        first = known.blocks[min(known.blocks)].times_ms if waiting else ()
        return waiting, next(filter(None, first), 0)

    def _forget(self, known: _Partition, start: int) -> None:
        """Forget the letters before `start`, which Kafka has removed."""
        first, begin = divmod(start, LETTERS_A_BLOCK)
        for number in [number for number in known.blocks if number < first]:
            del known.blocks[number]
        if first in known.blocks:
            for within in range(begin):
                known.blocks[first].remove(within)

    async def _take_up(self, known: _Partition, topic: Topic, partition: int, offsets: range) -> None:
        """Note the letters that came since the last call, as far as there is room."""
        offsets = range(max(known.position, offsets.start), offsets.stop)
        if not offsets or len(known.blocks) * LETTERS_A_BLOCK >= self.letters_max:
            return
        async with aclosing(self.log.read(topic, partition, offsets)) as batches:
            async for letters in batches:
                for letter in letters:
                    number, within = divmod(letter.offset, LETTERS_A_BLOCK)
                    block = known.blocks.setdefault(number, _Block())
                    block.add(within, letter.timestamp_ms, self._reason_number(letter.reason))
                known.position = letters[-1].offset + 1
                if len(known.blocks) * LETTERS_A_BLOCK >= self.letters_max:
                    return
        known.position = offsets.stop

    async def _strike_handled(self, known: _Partition, topic: Topic, partition: int) -> None:
        """Take out what was handled. A handled letter never waits again, so an empty block is forgotten."""
        for number, block in list(known.blocks.items()):
            handled = await self.handled.of_block(dead_letter_of(topic).name, partition, number)
            for letter in handled.values():
                within = letter.offset % LETTERS_A_BLOCK
                if block.times_ms[within] == letter.timestamp_ms:
                    block.remove(within)
            if not block.waiting:
                del known.blocks[number]
