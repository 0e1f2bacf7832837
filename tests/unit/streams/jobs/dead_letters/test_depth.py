"""The gauges count what waits, since when, and read each letter once."""

from prometheus_client import REGISTRY

from schemas.envelope import Reason
from streams.jobs.dead_letters.depth import DeadLettersDepth
from streams.ports.coordination import HandledLetter, Outcome
from streams.stores.memory.coordination import MemoryHandledDeadLetters
from tests.unit.streams.jobs.dead_letters.letters import NOW_MS, MemoryLog, letter

TOPIC = "likes-dlq"


def gauges(topic: str = "likes") -> tuple[float | None, float | None]:
    return tuple(  # type: ignore[return-value]
        REGISTRY.get_sample_value(f"shutterline_dead_letters_{name}", {"topic": topic})
        for name in ("waiting", "oldest_age_seconds")
    )


def at(offset: int) -> int:
    return NOW_MS - 100_000 + offset * 1_000


class World:
    def __init__(self, offsets: range | list[int], letters_max: int = 1_000_000) -> None:
        self.log = MemoryLog([letter(offset, failed_ms=at(offset)) for offset in offsets])
        self.handled = MemoryHandledDeadLetters(lambda: NOW_MS)
        self.depth = DeadLettersDepth(
            self.log, self.handled, letters_max=letters_max, clock_ms=lambda: NOW_MS
        )

    async def handle(self, *offsets: int) -> None:
        marks = [HandledLetter(offset, at(offset), Outcome.REPLAYED) for offset in offsets]
        await self.handled.mark(TOPIC, 0, marks, run="5f3c9a", life_s=60)

    async def read(self) -> tuple[float | None, float | None]:
        await self.depth.read()
        return gauges()


async def test_what_waits_is_counted() -> None:
    """A topic without dead letters shows 0."""
    world = World(range(5))

    assert (5, 100) == await world.read()
    assert (0, 0) == gauges("uploads")


async def test_what_was_handled_no_longer_counts() -> None:
    """The age is that of the first one that still waits, also if a later one is handled first."""
    world = World(range(5))
    await world.handle(0, 3)

    assert (3, 99) == await world.read()
    await world.handle(1, 2, 4)
    assert (0, 0) == await world.read()


async def test_each_letter_is_read_once() -> None:
    """The next call reads what came since, also after all were handled."""
    world = World(range(5))
    await world.read()
    await world.handle(*range(5))
    await world.read()
    world.log.letters.append(letter(5, failed_ms=at(5)))

    assert (1, 95) == await world.read()
    assert list(range(6)) == world.log.read_offsets


async def test_letters_of_several_blocks_and_gaps_are_counted() -> None:
    """A block has 10,000 offsets, of which some may have no letter."""
    world = World([3, 9_999, 10_000, 25_000])
    await world.handle(3, 9_999)

    assert (2, 0) == await world.read()


async def test_letters_that_expired_no_longer_wait() -> None:
    """Kafka has removed them, in the middle of a block."""
    world = World(range(5))
    await world.read()
    world.log.starts["likes"] = 2

    assert (3, 98) == await world.read()


async def test_a_topic_that_was_created_again_is_read_again() -> None:
    """Marks of the former letters do not count for the new ones."""
    world = World(range(5))
    await world.read()
    await world.handle(*range(5))
    world.log.letters = [letter(0, failed_ms=at(50))]

    assert (1, 50) == await world.read()


async def test_the_oldest_are_counted_if_there_are_too_many() -> None:
    """The later ones are read once the first are handled."""
    world = World([0, 1, 10_000], letters_max=10_000)

    await world.read()
    waiting = gauges()[0]
    assert waiting is not None
    assert 2 <= waiting <= 3


async def test_what_waits_is_counted_by_reason() -> None:
    """The most frequent first; what was handled does not count, nor a reason that is left without letters."""
    world = World([])
    reasons = (Reason.NOT_JSON, Reason.SELF_FOLLOW, Reason.NOT_JSON, Reason.NOT_JSON)
    world.log.letters = [
        letter(offset, reason=reason, failed_ms=at(offset)) for offset, reason in enumerate(reasons)
    ]
    await world.read()
    assert [("not_json", 3), ("self_follow", 1)] == list(world.depth.topics["likes"].by_reason)
    await world.handle(0, 1)
    await world.read()

    likes = world.depth.topics["likes"].json(NOW_MS)
    assert ([{"reason": "not_json", "waiting": 2}], 2) == (likes["reasons"], likes["waiting"])
    assert 98.0 == likes["oldest_age_s"]


async def test_how_many_come_a_minute_is_known_from_the_second_look_on() -> None:
    """By the ends of the logs: what was handled meanwhile came as well."""
    world = World(range(5))
    now_ms = NOW_MS
    world.depth.clock_ms = lambda: now_ms
    await world.read()
    assert world.depth.topics["likes"].per_minute is None
    world.log.letters += [letter(offset, failed_ms=at(offset)) for offset in range(5, 8)]
    now_ms += 30_000
    await world.read()

    assert 6.0 == world.depth.topics["likes"].per_minute
