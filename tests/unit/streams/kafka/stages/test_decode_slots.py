"""Thumbnails go before full renditions in one process, and neither takes more than its slots."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from streams.kafka.stages.decode_slots import DecodeSlots
from topics.catalogue import Lane

TURNS = 10  # Turns of the event loop: more than any task here needs to get its slot.


class Holder:
    """A task that waits for a slot, and holds it until `leave` is called."""

    def __init__(self, slots: DecodeSlots, lane: Lane) -> None:
        self._leave = asyncio.Event()
        self.inside = False
        self.task = asyncio.create_task(self._run(slots, lane))

    async def _run(self, slots: DecodeSlots, lane: Lane) -> None:
        async with slots.of(lane):
            self.inside = True
            await self._leave.wait()

    async def leave(self) -> None:
        self._leave.set()
        await self.task


@asynccontextmanager
async def holders(slots: DecodeSlots, *lanes: Lane) -> AsyncIterator[list[Holder]]:
    """Holders for these lanes, which ask for their slots in this order."""
    made = []
    for lane in lanes:
        made.append(Holder(slots, lane))
        await settled()
    yield made
    for decode in made:
        decode.task.cancel()
    await asyncio.gather(*(decode.task for decode in made), return_exceptions=True)


async def settled() -> None:
    for _ in range(TURNS):
        await asyncio.sleep(0)


async def test_a_lane_has_so_many_slots() -> None:
    """If all slots of its lane are taken, a task waits until one is released."""
    slots = DecodeSlots(thumbnails_max=2, fulls_max=1)
    async with holders(slots, *[Lane.THUMBNAIL] * 3) as [first, second, third]:
        assert (True, True, False) == (first.inside, second.inside, third.inside)
        await first.leave()
        await settled()

        assert third.inside


async def test_a_full_task_does_not_begin_while_a_thumbnail_waits() -> None:
    """One that has begun continues; one that waits begins when no thumbnail waits any more."""
    slots = DecodeSlots(thumbnails_max=1, fulls_max=2)
    async with holders(slots, Lane.FULL, *[Lane.THUMBNAIL] * 3, Lane.FULL) as [begun, one, two, three, held]:
        assert begun.inside
        assert not held.inside
        await one.leave()
        await settled()
        assert (True, False, False) == (two.inside, three.inside, held.inside)
        await two.leave()
        await settled()

        assert (True, True) == (three.inside, held.inside)


async def test_thumbnails_never_wait_for_full_tasks() -> None:
    """However many full tasks there are, they take no slot of the thumbnails."""
    slots = DecodeSlots(thumbnails_max=1, fulls_max=1)
    async with holders(slots, *[Lane.FULL] * 5, Lane.THUMBNAIL) as asked:
        assert asked[-1].inside


async def test_a_task_that_gives_up_waiting_holds_no_other_back() -> None:
    """This holds for a thumbnail whose partition was revoked, and for a waiting full task."""
    slots = DecodeSlots(thumbnails_max=1, fulls_max=1)
    lanes = [Lane.THUMBNAIL, Lane.THUMBNAIL, Lane.FULL, Lane.FULL]
    async with holders(slots, *lanes) as [_, waiting, held, behind]:
        held.task.cancel()
        await settled()
        waiting.task.cancel()
        await settled()

        assert behind.inside
