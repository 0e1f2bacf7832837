"""Go through dead letters with what became of them, in bounded memory."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field

from streams.core.dead_letters import DeadLetter, Selection
from streams.jobs.dead_letters.ports import DeadLetterLog
from streams.ports.coordination import LETTERS_A_BLOCK, HandledDeadLetters, HandledLetter, Outcome
from topics.catalogue import Topic, dead_letter_of


@dataclass(slots=True)
class HandledBlocks:
    """What was handled of one partition, read block by block as the letters come in their order."""

    handled: HandledDeadLetters
    _block: tuple[str, int, int] | None = field(default=None, init=False)
    _letters: Mapping[int, HandledLetter] = field(default_factory=dict, init=False)

    async def outcome(self, letter: DeadLetter) -> Outcome | None:
        """Return what was done to the letter, None if it waits.

        Raises:
            StoreUnavailable: That is not known.
        """
        block = (dead_letter_of(letter.topic).name, letter.partition, letter.offset // LETTERS_A_BLOCK)
        if block != self._block:
            self._letters = await self.handled.of_block(*block)
            self._block = block
        stored = self._letters.get(letter.offset)
        return stored.outcome if stored is not None and stored.timestamp_ms == letter.timestamp_ms else None


@dataclass(frozen=True, slots=True)
class Scanned:
    """Dead letters of one partition in their order, and how many offsets were passed by them."""

    letters: Sequence[tuple[DeadLetter, Outcome | None]]
    offsets: int


@dataclass(frozen=True, slots=True)
class Scan:
    """Goes once through what the dead-letter topics held when it began.

    So it ends, also if what is replayed meanwhile fails again.
    """

    log: DeadLetterLog
    handled: HandledDeadLetters
    spans: Sequence[tuple[Topic, int, range]]

    @classmethod
    async def begin(cls, log: DeadLetterLog, handled: HandledDeadLetters, topics: Sequence[Topic]) -> "Scan":
        """Note the offsets of the dead-letter topics of `topics`.

        Raises:
            StoreUnavailable: Kafka did not respond.
        """
        spans = [
            (topic, partition, offsets)
            for topic in topics
            for partition, offsets in sorted((await log.offsets(topic)).items())
        ]
        return cls(log, handled, spans)

    @property
    def offsets(self) -> int:
        """How many offsets there are; some may have no letter."""
        return sum(len(offsets) for _, _, offsets in self.spans)

    async def read(self, selection: Selection) -> AsyncGenerator[Scanned, None]:
        """Yield the selected dead letters, and what became of each.

        Raises:
            StoreUnavailable: Kafka or Cassandra did not respond.
        """
        for topic, partition, offsets in self.spans:
            handled, passed = HandledBlocks(self.handled), offsets.start
            async with aclosing(self.log.read(topic, partition, offsets)) as batches:
                async for letters in batches:
                    selected = [
                        (letter, await handled.outcome(letter))
                        for letter in letters
                        if selection.includes(letter)
                    ]
                    following = letters[-1].offset + 1
                    yield Scanned(selected, following - passed)
                    passed = following
