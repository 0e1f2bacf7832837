"""Rebuilding missing timelines, those of the latest readers first."""

import asyncio
from collections import Counter
from collections.abc import Sequence

import pytest

from schemas.ids import UserId
from streams.jobs.warm_timelines import WarmedTimelines, latest_readers, warm_timelines
from streams.timelines.rebuild import Rebuilder, RebuildOutcome
from tests.worlds.api import World, make_world

AUTHORS = range(2, 6)
READERS = [UserId(reader) for reader in range(100, 140)]
HOUR = 500_000


async def _lost_world() -> World:
    """Redis has nothing. Forty readers follow four authors each; half of them read in the last hour."""
    world = await make_world(rebuilds_in_flight_max=8)
    for author in AUTHORS:
        for photo in range(3):
            await world.post(10 * author + photo, author)
    for reader in READERS:
        for author in AUTHORS:
            await world.follow(reader, author)
    await world.later(120)
    await world.stores.active_readers.record(HOUR - 1, READERS)
    await world.stores.active_readers.record(HOUR, READERS[20:])
    await world.stores.timelines.forget_all()
    return world


async def _warm(world: World, *, limit: int = 1_000) -> WarmedTimelines:
    """One run of the command, in a process of its own."""
    of_api, warmed, shown = world.services.rebuilder, WarmedTimelines(), list[int]()
    rebuilder = Rebuilder(
        stores=of_api.stores,
        followees_of=of_api.followees_of,
        timeline_ids=of_api.timeline_ids,
        in_flight_max=8,
        count=warmed.count,
        known_of=of_api.known_of,
    )
    try:
        await warm_timelines(
            world.stores.timelines,
            rebuilder,
            await latest_readers(world.stores.active_readers, range(HOUR, HOUR - 3, -1), limit),
            warmed,
            progressed=shown.append,
            retry_s=0,
        )
    finally:
        await rebuilder.close()
    assert shown == sorted(shown), "a bar that does not go back"
    assert shown[-1] == warmed.readers, "and ends at its total"
    return warmed


async def _timelines(world: World) -> dict[UserId, bytes | None]:
    return {reader: await world.stores.timelines.read(reader) for reader in READERS}


async def test_the_latest_readers_come_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each comes once, by the last hour in which it read, whatever the size of a page of the store."""
    world = await _lost_world()
    for page in (3, 1_000):
        monkeypatch.setattr("streams.jobs.warm_timelines.PAGE_READERS", page)
        readers = await latest_readers(world.stores.active_readers, range(HOUR, HOUR - 3, -1), 30)

        assert [*READERS[20:], *READERS[:10]] == readers


async def test_the_timelines_of_many_readers_read_each_author_once() -> None:
    """Readers who are warmed together share the reads of their authors."""
    world = await _lost_world()
    newest = world.memory.author_photos.newest
    read: Counter[UserId] = Counter()

    async def counting(authors: Sequence[UserId], **limits: int) -> object:
        read.update(authors)
        return await newest(authors, **limits)

    world.switches["author_photos"].newest = counting  # type: ignore[attr-defined]  # Counts.
    warmed = await _warm(world)

    assert (warmed.rebuilt, warmed.entries, warmed.missing) == (40, 480, 0)
    assert {author: read[UserId(author)] for author in AUTHORS} == dict.fromkeys(AUTHORS, 1)


async def test_a_run_that_dies_and_is_repeated_leaves_what_readers_would_have() -> None:
    """Timelines that were begun expire; all others are as if their owners had asked for them."""
    world, asked = await _lost_world(), await _lost_world()
    finish = world.memory.timelines.finish_rebuild
    finished: list[UserId] = []

    async def dying(owner: UserId, *args: object) -> bool:
        if len(finished) == 15:
            raise SystemError("killed")
        finished.append(owner)
        return await finish(owner, *args)  # type: ignore[arg-type]  # As they came.

    world.switches["timelines"].finish_rebuild = dying  # type: ignore[attr-defined]  # The kill.
    with pytest.raises(SystemError):
        await _warm(world)
    world.switches["timelines"].finish_rebuild = finish  # type: ignore[attr-defined]  # The repetition.
    await world.later(31)
    warmed = await _warm(world)
    repeated = await _warm(world)
    await asked.later(31)
    for reader in READERS:
        await asked.page(reader)

    assert await _timelines(world) == await _timelines(asked)
    assert (warmed.existed, warmed.rebuilt) == (15, 25)
    assert (repeated.existed, repeated.rebuilt) == (40, 0)


async def test_a_spent_budget_is_waited_for() -> None:
    """A timeline that may not be rebuilt yet is tried again, and in the end is counted as missing."""
    world = await _lost_world()
    budget = iter([True] * 10 + [False] * 40)

    async def take() -> bool:
        return next(budget, False)

    world.switches["rebuild_budget"].take = take  # type: ignore[attr-defined]  # A small budget.
    warmed = await _warm(world, limit=20)

    assert (warmed.readers, warmed.rebuilt, warmed.missing) == (20, 10, 10)
    assert warmed.outcomes[RebuildOutcome.LIMITED] == 50


async def test_a_reader_who_asks_meanwhile_is_served() -> None:
    """The run and the API may rebuild at the same time; every timeline is rebuilt once."""
    world = await _lost_world()

    pages = [asyncio.create_task(world.page(reader)) for reader in READERS[:8]]
    warmed = await _warm(world)
    await asyncio.gather(*pages)

    assert all((await _timelines(world)).values())
    assert warmed.missing == 0
