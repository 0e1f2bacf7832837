"""A batch of ready photos: what it asks of the stores, and what may happen between any two calls."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from schemas.facts import Rendition
from schemas.ids import PhotoId
from streams.core import ring
from streams.photos.uploaded import photos_uploaded
from streams.stores.memory.stores import memory_stores
from tests.worlds.flaky_stores import FlakyStores, Moment
from tests.worlds.kafka import LOCAL
from tests.worlds.renditions import (
    DELETED,
    FOLLOWER,
    NOW_MS,
    PHOTO,
    RULES,
    UPLOADED,
    Log,
    Message,
    World,
)

WITH_THUMBNAIL = UPLOADED.model_copy(
    update={"renditions": {"thumbnail": Rendition(object_key="theirs/t.jpg", width=150, height=100)}}
)
CALLS_MAX = 100


async def test_a_batch_writes_its_rows_twice_and_reads_them_once() -> None:
    """Facts, then rows and tombstones, then status and delivery in one statement a photo."""
    flaky = FlakyStores(memory_stores(clock_ms=lambda: NOW_MS))
    uploads = [WITH_THUMBNAIL.model_copy(update={"photo_id": PhotoId(PHOTO + n)}) for n in range(20)]
    await photos_uploaded(
        flaky.stores, Log(), uploads, delivery_rules=RULES, sizes=LOCAL, now_ms=NOW_MS, original_poll_ms=2_000
    )

    calls = [moment.operation for moment in flaky.moments if moment.store == "photos" and not moment.done]
    assert calls == ["insert", "get", "tombstones", "mark_ready"]


@pytest.mark.law("L1")
async def test_copies_are_invalidated_before_anything_is_published_on_fanout() -> None:
    """A rebuild that an append missed reads the author's list after that, and finds the photo in it."""

    async def at(moment: Moment) -> None:
        if moment.operation == "invalidate_reachable":
            await asyncio.sleep(0.01)

    flaky = FlakyStores(memory_stores(clock_ms=lambda: NOW_MS), at)
    outbox = flaky.around("outbox", Log())
    await photos_uploaded(
        flaky.stores,
        outbox,
        [WITH_THUMBNAIL],
        delivery_rules=RULES,
        sizes=LOCAL,
        now_ms=NOW_MS,
        original_poll_ms=2_000,
    )

    moments = [(moment.operation, moment.done) for moment in flaky.moments]
    invalidated = len(moments) - moments[::-1].index(("invalidate_reachable", True))
    assert moments.index(("mark_ready", True)) < invalidated <= moments.index(("fanout", False))


async def interrupted(
    handled: Message, interrupt: Callable[[World], Awaitable[None]], wanted: tuple[int, bool]
) -> World | None:
    """Handle a message; before a call, or after it, `interrupt` gets a world that shares stores and log.

    Pages are applied as soon as they are published. Returns None if there are fewer calls.
    """
    world, undisturbed = World(objects={}), World(objects={})
    undisturbed.real = undisturbed.stores = world.real
    undisturbed.log = undisturbed.outbox = world.log
    await world.reader()
    happened = False

    async def at(moment: Moment) -> None:
        nonlocal happened
        if moment.operation == "fanout" and moment.done:
            await world.apply_fanout()
        if not happened and (moment.number, moment.done) == wanted:
            happened = True
            await interrupt(undisturbed)

    flaky = FlakyStores(world.real, at)
    world.stores, world.outbox = flaky.stores, flaky.around("outbox", world.log)
    await world.handle(handled)
    return world if happened else None


async def every_interruption(
    handled: Message, interrupt: Callable[[World], Awaitable[None]]
) -> dict[tuple[int, bool], World]:
    """The world at the end of each case, by the call and whether it was done."""
    worlds: dict[tuple[int, bool], World] = {}
    for number in range(CALLS_MAX):
        for done in (False, True):
            world = await interrupted(handled, interrupt, (number, done))
            if world is None:
                return worlds
            worlds[number, done] = world
    raise AssertionError(f"still calls after {CALLS_MAX}")


@pytest.mark.law("L3")
@pytest.mark.parametrize(
    ("first", "second"), [(WITH_THUMBNAIL, DELETED), (DELETED, WITH_THUMBNAIL)], ids=["upload", "delete"]
)
async def test_a_delete_hides_a_photo_that_comes_ready_meanwhile(first: Message, second: Message) -> None:
    """Before and after every call of one handler, the other handler runs completely."""
    worlds = await every_interruption(first, lambda world: world.handle(second))
    ends = {at: await world.end_state() for at, world in worlds.items()}

    assert {(True, (), 0)} == {(end.deleted, end.listed, end.ready_total) for end in ends.values()}
    assert len(ends) > 3


@pytest.mark.law("L1")
async def test_who_follows_meanwhile_gets_the_photo() -> None:
    """The backfill of the new follower runs at once, so it or the page must have the photo."""
    worlds = await every_interruption(WITH_THUMBNAIL, lambda world: world.follow())
    stored = {at: await world.real.timelines.read(FOLLOWER) for at, world in worlds.items()}

    assert [] == [at for at, value in stored.items() if PHOTO not in ring.parse(value or b"").ids]
    assert len(stored) > 20
