"""How many dead letters wait for an operator, and since when."""

from array import array
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass, field

from streams.clock import unix_ms
from streams.jobs.dead_letters.ports import DeadLetterLog
from streams.metrics import DEAD_LETTERS_OLDEST, DEAD_LETTERS_WAITING
from streams.ports.coordination import LETTERS_A_BLOCK, HandledDeadLetters
from topics.catalogue import Topic, dead_letter_of, topics_with_dead_letters

# Of a partition, the oldest, which are what an alarm is about: 40 MB. Later ones are counted once these are
# handled.
LETTERS_MAX = 5_000_000


@dataclass(slots=True)
class _Block:
    """By offset, Kafka's time of each letter that waits, and 0 for the others; and how many wait."""

    times_ms: "array[int]" = field(default_factory=lambda: array("q", bytes(8 * LETTERS_A_BLOCK)))
    waiting: int = 0

    def add(self, within: int, time_ms: int) -> None:
        self.waiting += not self.times_ms[within]
        self.times_ms[within] = time_ms

    def remove(self, within: int) -> None:
        self.waiting -= self.times_ms[within] != 0
        self.times_ms[within] = 0


@dataclass(slots=True)
class _Partition:
    """Where reading goes on, and the blocks that have letters waiting."""

    position: int = 0
    blocks: dict[int, _Block] = field(default_factory=dict)


@dataclass(slots=True)
class DeadLettersDepth:
    """Sets the gauges. The first `read` goes through all dead letters, later ones through the new ones.

    Each also looks up what was handled of the blocks that have letters waiting: up to `LETTERS_A_BLOCK` rows
    a block. One process is enough.
    """

    log: DeadLetterLog
    handled: HandledDeadLetters
    letters_max: int = LETTERS_MAX
    clock_ms: Callable[[], int] = unix_ms
    _partitions: dict[tuple[str, int], _Partition] = field(default_factory=dict, init=False)

    async def read(self) -> None:
        """Read what is new, and set the gauges of every topic.

        Raises:
            StoreUnavailable: Kafka or Cassandra did not respond; the gauges are as before for some topics.
        """
        for topic in topics_with_dead_letters():
            found = [
                await self._read_partition(topic, partition, offsets)
                for partition, offsets in (await self.log.offsets(topic)).items()
            ]
            oldest_ms = min((oldest for _, oldest in found if oldest), default=None)
            age_ms = 0 if oldest_ms is None else max(0, self.clock_ms() - oldest_ms)
            DEAD_LETTERS_WAITING.labels(topic.name).set(sum(waiting for waiting, _ in found))
            DEAD_LETTERS_OLDEST.labels(topic.name).set(age_ms / 1_000)

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
                    known.blocks.setdefault(number, _Block()).add(within, letter.timestamp_ms)
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
