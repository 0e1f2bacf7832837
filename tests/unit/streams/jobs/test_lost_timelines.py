"""One worker rebuilds lost timelines, those of the latest readers first, and leaves room to readers."""

import logging
from collections.abc import Collection
from dataclasses import dataclass, field

import pytest

from schemas.ids import PackedIds, UserId, pack_ids, unpack_ids
from streams.errors import StoreUnavailable
from streams.jobs.lost_timelines import LOOK_S, PAGE_S, LostTimelines
from streams.jobs.warm_timelines import WarmedTimelines
from streams.timelines.rebuild import Rebuilder
from tests.worlds.api import World, make_world

HOUR = 500_000
NOW_S = HOUR * 3_600.0 + 60
READERS = [UserId(reader) for reader in range(100, 140)]
EARLIER, LATEST = READERS[:20], READERS[20:]
PER_S_MAX = 8


@dataclass
class Warming:
    """One worker beside the API, whose clock moves while it rests."""

    world: World
    job: LostTimelines = field(init=False)
    owns: bool = True
    now_s: float = NOW_S
    rests: list[float] = field(default_factory=list)
    rebuilt: list[UserId] = field(default_factory=list)

    def __post_init__(self) -> None:
        of_api, warmed = self.world.services.rebuilder, WarmedTimelines()
        followees_of = of_api.followees_of

        async def noted(owner: UserId) -> Collection[UserId]:
            self.rebuilt.append(owner)
            return await followees_of(owner)

        self.job = LostTimelines(
            self.world.stores.timelines,
            self.world.stores.active_readers,
            Rebuilder(of_api.stores, noted, of_api.timeline_ids, 1, warmed.count, of_api.known_of),
            warmed,
            lambda: self.owns,
            timeline_ttl_s=3 * 3_600,
            per_s_max=PER_S_MAX,
            clock_s=lambda: self.now_s,
            sleep=self.rest,
            retry_s=0,
        )

    async def rest(self, seconds: float) -> None:
        self.rests.append(seconds)
        self.now_s += seconds

    async def look(self) -> list[UserId]:
        """Look once; returns whose timelines were rebuilt, in order."""
        self.rebuilt.clear()
        self.rests.clear()
        await self.job.look()
        return list(self.rebuilt)

    async def existing(self) -> set[int]:
        return set(unpack_ids(await self.world.stores.timelines.existing(PackedIds(pack_ids(READERS)))))

    async def lose(self, readers: Collection[UserId]) -> None:
        for reader in readers:
            await self.world.memory.timelines.forget(reader)


@pytest.fixture
async def warming() -> Warming:
    world = await make_world()
    await world.post(20, 2)
    for reader in READERS:
        await world.follow(reader, 2)
    await world.later(120)
    await world.stores.active_readers.record(HOUR - 2, READERS)
    await world.stores.active_readers.record(HOUR, LATEST)
    return Warming(world)


async def test_the_latest_readers_come_first(warming: Warming, caplog: pytest.LogCaptureFixture) -> None:
    """Each once, and the log says how many there were."""
    with caplog.at_level(logging.WARNING):
        rebuilt = await warming.look()

    assert rebuilt == [*LATEST, *EARLIER]
    assert await warming.existing() == set(READERS)
    assert "40 rebuilt" in caplog.text


async def test_readers_have_the_rest_of_the_budget(warming: Warming) -> None:
    """After each page the worker rests, so that it begins at most `per_s_max` rebuilds a second."""
    await warming.look()

    assert sum(warming.rests) >= len(READERS) / PER_S_MAX - 0.001
    assert all(PAGE_S - 0.001 <= rest <= 1.001 for rest in warming.rests)


async def test_nothing_is_done_while_timelines_are_there(warming: Warming) -> None:
    """A worker that takes over looks at the readers of all hours, afterwards at the latest ones."""
    await warming.look()
    await warming.lose(EARLIER)

    assert await warming.look() == []
    assert warming.rests == []


async def test_a_loss_begins_a_pass(warming: Warming) -> None:
    """One of twenty is too few. More begin a pass, also over the readers of earlier hours."""
    await warming.look()
    await warming.lose(LATEST[:1])
    few = await warming.look()
    await warming.lose([*LATEST[:5], *EARLIER])

    assert few == []
    assert await warming.look() == [*LATEST[:5], *EARLIER]


async def test_another_worker_finishes_the_pass(warming: Warming) -> None:
    """The partition moves in the middle of a pass and back; the owner goes over all hours again."""
    rest = warming.rest

    async def moves(seconds: float) -> None:
        await rest(seconds)
        warming.owns = len(warming.rebuilt) < len(LATEST)

    warming.job.sleep = moves
    first = await warming.look()
    warming.job.sleep, warming.owns = rest, True

    assert first == LATEST
    assert await warming.look() == EARLIER


async def test_a_worker_that_takes_over_goes_over_all_hours(warming: Warming) -> None:
    """The pass of the worker before may be unfinished, although the latest readers have their timelines."""
    await warming.look()
    warming.owns = False
    await warming.lose(EARLIER)
    elsewhere = await warming.look()
    warming.owns = True

    assert elsewhere == []
    assert await warming.look() == EARLIER


async def test_a_pass_that_an_outage_ends_is_due(warming: Warming) -> None:
    """The next look begins it again."""
    active_readers = warming.job.active_readers
    page = active_readers.page

    async def unavailable(*_: object) -> list[UserId]:
        raise StoreUnavailable("cassandra", "active readers", "down")

    active_readers.page = unavailable  # type: ignore[assignment,method-assign]  # The outage.
    with pytest.raises(StoreUnavailable):
        await warming.look()
    active_readers.page = page  # type: ignore[method-assign]  # Its end.

    assert await warming.look() == [*LATEST, *EARLIER]


async def test_a_loss_during_a_pass_begins_at_the_latest_again(warming: Warming) -> None:
    """Otherwise they would wait until the readers of all hours have their timelines."""
    rest, lost = warming.rest, False

    async def loses(seconds: float) -> None:
        nonlocal lost
        await rest(seconds + LOOK_S)
        if len(warming.rebuilt) > len(LATEST) and not lost:
            lost = True
            await warming.lose(LATEST)

    warming.job.sleep = loses
    first = await warming.look()
    warming.job.sleep = rest

    assert len(first) < len(READERS)
    assert (await warming.look())[: len(LATEST)] == LATEST


async def test_nothing_is_rebuilt_before_redis_is_verified(warming: Warming) -> None:
    """The workers may remove what a Redis has that came back older, or in part."""

    async def not_yet() -> bool:
        return False

    warming.world.switches["timelines"].verified = not_yet  # type: ignore[attr-defined]  # The workers.

    assert await warming.look() == []
    assert await warming.existing() == set()
