"""Law: a photo gets its renditions, or is rejected, or is gone: nothing lost, nothing twice, counts exact.

Whatever store does not answer, before or after it did what was asked, and whatever else
happens to the photo meanwhile.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, replace

import pytest

from schemas.internal import FullTask, RemovalTask, ThumbnailTask
from streams.core.photos import Status
from streams.media.rejected import Reason
from tests.worlds.flaky_stores import FlakyStores, Moment, fail
from tests.worlds.renditions import (
    AUTHOR,
    DELETED,
    KEYS,
    NOW_MS,
    ORIGINAL,
    PHOTO,
    SETTINGS,
    UPLOADED,
    EndState,
    Message,
    Rejection,
    World,
)
from topics.catalogue import Lane

ALL_FOUR = frozenset({"thumbnail", "small", "medium", "large"})
POLL_MS = SETTINGS.original_poll_s * 1_000
WAIT_MS = SETTINGS.original_wait_s_max * 1_000
# More calls than any handler makes here; a loop over the calls fails when it reaches this.
CALLS_MAX = 400

READY = EndState(
    status=Status.READY,
    reason=None,
    deleted=False,
    renditions=ALL_FOUR,
    objects=ALL_FOUR | {ORIGINAL},
    listed=((PHOTO, True),),
    ready_photos=(PHOTO,),
    ready_total=1,
    on_timeline=True,
    parked=0,
    undelivered=0,
    purged=frozenset(),
)
NOBODY_ELSES = replace(
    READY, objects=frozenset(), ready_photos=(), ready_total=0, renditions=frozenset(), on_timeline=False
)
# The original of a rejected photo stays for a grace time.
REJECTED = replace(
    NOBODY_ELSES,
    status=Status.REJECTED,
    reason="broken",
    listed=((PHOTO, False),),
    objects=frozenset({ORIGINAL}),
)
GONE = replace(NOBODY_ELSES, deleted=True, listed=())


def comparable(state: EndState) -> EndState:
    """Clear the fields that may differ once a photo is deleted or rejected.

    Readers see no such photo, so the renditions in its row and its id on a timeline are ignored.
    """
    if state.deleted:
        return replace(
            state,
            status=Status.READY,
            reason=None,
            purged=frozenset(),
            renditions=frozenset(),
            on_timeline=False,
        )
    if state.status is Status.REJECTED:
        return replace(state, purged=frozenset(), renditions=frozenset(), on_timeline=False)
    return state


async def new_world(original: bytes | None = b"original") -> World:
    world = World(objects={} if original is None else {ORIGINAL: original})
    await world.follower_reads()
    return world


async def whole_way(world: World) -> None:
    """Handle the upload event and all tasks, up to the last rendition."""
    await world.handle(UPLOADED)
    await world.drain()


async def late_original(world: World) -> None:
    """The original arrives between two runs of the job for parked photos."""
    await whole_way(world)
    await world.look_at_parked(POLL_MS)
    world.objects[ORIGINAL] = b"original"
    await world.look_at_parked(POLL_MS)


async def no_original(world: World) -> None:
    """The original never arrives."""
    await whole_way(world)
    await world.look_at_parked(WAIT_MS)


async def deleted_when_ready(world: World) -> None:
    await whole_way(world)
    await world.handle(DELETED)
    await world.drain()


async def deleted_before_uploaded(world: World) -> None:
    await world.handle(DELETED)
    await whole_way(world)


Way = Callable[[World], object]
WAYS = [
    pytest.param(whole_way, b"original", READY, id="good"),
    pytest.param(whole_way, b"no thumbnail", REJECTED, id="broken"),
    pytest.param(whole_way, b"no full", REJECTED, id="broken after its thumbnail"),
    pytest.param(late_original, None, READY, id="late original"),
    pytest.param(
        no_original, None, replace(REJECTED, reason="original_missing", objects=frozenset()), id="no original"
    ),
    pytest.param(deleted_when_ready, b"original", GONE, id="deleted"),
    pytest.param(deleted_before_uploaded, b"original", GONE, id="deleted before"),
]


@pytest.mark.law("L9")
@pytest.mark.parametrize(("way", "original", "expected"), WAYS)
async def test_a_photo_ends_as_it_should(way: Way, original: bytes | None, expected: EndState) -> None:
    """Undisturbed."""
    world = await new_world(original)
    await way(world)  # type: ignore[misc]

    assert expected == comparable(await world.end_state())


@pytest.mark.law("L1")
@pytest.mark.parametrize("done", [False, True], ids=["before", "after"])
@pytest.mark.parametrize(("way", "original", "expected"), WAYS)
async def test_any_one_call_may_fail(
    way: Way, original: bytes | None, expected: EndState, done: bool
) -> None:
    """Each call of a store and of Kafka in turn, before it is carried out, or after it was.

    The handler is run again, as after a kill. Meanwhile a reader looks at the photo after
    every call: whatever a visible row names is there, and no copy outlives what it copied.
    """
    number = 0
    while True:
        world = await new_world(original)
        failed = False

        async def at(moment: Moment, world: World = world, wanted: int = number) -> None:
            nonlocal failed
            await world.look()
            if not failed and moment.number == wanted and moment.done is done:
                failed = True
                fail(moment)

        disturb(world, at)
        await way(world)  # type: ignore[misc]
        await world.settle()

        if not failed:
            break
        assert expected == comparable(await world.end_state()), f"call {number} failed"
        assert await world.copy_is_current(), f"call {number} failed"
        number += 1
        assert number < CALLS_MAX
    assert number > 10, "so few calls cannot have been a whole way"


def disturb(world: World, at: Callable[[Moment], object]) -> None:
    """Call `at` before and after each call that a handler makes."""
    flaky = FlakyStores(world.real, at)  # type: ignore[arg-type]
    world.stores = flaky.stores
    world.outbox = flaky.around("outbox", world.log)


async def ready_thumbnail(world: World) -> list[Message]:
    """Make a thumbnail; return the messages so far and the task for the other renditions."""
    await world.handle(UPLOADED)
    thumbnail = world.log.waiting.popleft()
    await world.handle(thumbnail)
    full = world.log.waiting.popleft()
    return [UPLOADED, thumbnail, full]


async def races(
    original: bytes, first: Sequence[Message], second: Sequence[Message], *, given: Sequence[Message] = ()
) -> AsyncIterator[tuple[str, World]]:
    """Handle `second` completely before, then after each call of a handler of `first`.

    Each such case is one world: yield its description and the world at the end.
    """
    for number in range(CALLS_MAX):
        for done in (False, True):
            race = Race(number, done)
            world = await race.run(await new_world(original), first, second, given)
            if not race.happened:
                return
            yield str(race), world
    raise AssertionError(f"still calls after {CALLS_MAX}")


async def races_and_kills(
    original: bytes, first: Sequence[Message], second: Sequence[Message], *, given: Sequence[Message] = ()
) -> AsyncIterator[tuple[str, World]]:
    """Like `races`, but the process that handles `first` is also killed after a later call.

    Each later call is one case. `first` is then handled again.
    """
    for number in range(CALLS_MAX):
        for killed in range(number, CALLS_MAX):
            race = Race(number, False, killed)
            world = await race.run(await new_world(original), first, second, given)
            if not race.happened:
                return
            if not race.died:
                break
            yield str(race), world
    raise AssertionError(f"still calls after {CALLS_MAX}")


@dataclass(slots=True)
class Race:
    """Runs another handler before call `number`, or after it if `done`; then fails a later call."""

    number: int
    done: bool
    killed_after: int | None = None
    happened: bool = False
    died: bool = False

    async def run(
        self, world: World, first: Sequence[Message], second: Sequence[Message], given: Sequence[Message]
    ) -> World:
        for message in given:
            await world.handle(message)
        world.log.waiting.clear()

        async def at(moment: Moment) -> None:
            await world.look()
            if not self.happened and (moment.number, moment.done) == (self.number, self.done):
                self.happened = True
                mine = world.stores, world.outbox
                world.stores, world.outbox = world.real, world.log
                for message in second:
                    await world.handle(message)
                await world.drain()
                world.stores, world.outbox = mine
            if self.happened and not self.died and (moment.number, moment.done) == (self.killed_after, True):
                self.died = True
                fail(moment)

        disturb(world, at)
        for message in first:
            await world.handle(message)
        world.stores, world.outbox = world.real, world.log
        await world.drain()
        await world.settle()
        return world


THUMBNAIL = ThumbnailTask(PHOTO, AUTHOR, ORIGINAL, queued_ms=NOW_MS)
FULL = FullTask(PHOTO, AUTHOR, ORIGINAL, queued_ms=NOW_MS)


@pytest.mark.law("L3")
@pytest.mark.parametrize(
    ("first", "second", "given"),
    [
        ([UPLOADED], [DELETED], []),
        ([THUMBNAIL], [DELETED], [UPLOADED]),
        ([FULL], [DELETED], [UPLOADED, THUMBNAIL]),
        ([DELETED], [UPLOADED], []),
        ([DELETED], [THUMBNAIL], [UPLOADED]),
        ([DELETED], [FULL], [UPLOADED, THUMBNAIL]),
        ([DELETED, RemovalTask(PHOTO, (), original=True)], [FULL], [UPLOADED, THUMBNAIL]),
        ([DELETED, RemovalTask(PHOTO, (), original=True)], [THUMBNAIL], [UPLOADED]),
    ],
)
async def test_a_delete_at_any_moment_takes_all_away(
    first: list[Message], second: list[Message], given: list[Message]
) -> None:
    """Law: a delete and a put cannot miss each other. No object of ours is left, and the count is exact."""
    seen = 0
    async for moment, world in races(b"original", first, second, given=given):
        assert GONE == comparable(await world.end_state()), moment
        assert await world.copy_is_current(), moment
        seen += 1
    assert seen > 3


@pytest.mark.parametrize(
    ("first", "second"),
    [([THUMBNAIL], [FULL]), ([FULL], [THUMBNAIL]), ([THUMBNAIL], [THUMBNAIL, FULL])],
)
async def test_a_photo_that_is_rejected_while_it_is_announced_again_is_rejected(
    first: list[Message], second: list[Message]
) -> None:
    """The thumbnail's task comes twice, and meanwhile the task for the others rejects the photo."""
    seen = 0
    async for moment, world in races(b"no full", first, second, given=[UPLOADED, THUMBNAIL]):
        assert REJECTED == comparable(await world.end_state()), moment
        assert await world.copy_is_current(), moment
        seen += 1
    assert seen > 3


@pytest.mark.law("L9")
@pytest.mark.parametrize(
    ("first", "second", "given"),
    [
        ([THUMBNAIL], [DELETED], [UPLOADED]),
        ([FULL], [DELETED], [UPLOADED, THUMBNAIL]),
    ],
)
async def test_a_put_after_the_delete_is_found_by_the_repeat(
    first: list[Message], second: list[Message], given: list[Message]
) -> None:
    """Deleted, all removed, then one more object put, then dead before looking for the tombstone."""
    seen = 0
    async for moment, world in races_and_kills(b"original", first, second, given=given):
        assert GONE == comparable(await world.end_state()), moment
        seen += 1
    assert seen > 20


@pytest.mark.law("L9")
@pytest.mark.parametrize(
    ("first", "second", "given"),
    [
        # Two workers make one thumbnail; the full task of the quicker one rejects the photo.
        ([THUMBNAIL], [THUMBNAIL], [UPLOADED]),
        ([THUMBNAIL], [Rejection(PHOTO, "broken")], [UPLOADED]),
        ([FULL], [Rejection(PHOTO, "broken")], [UPLOADED, THUMBNAIL]),
    ],
)
async def test_a_put_after_a_rejection_is_taken_away(
    first: list[Message], second: list[Message], given: list[Message]
) -> None:
    """Rejected, all removed, and only then come the objects of a slower worker; the original stays."""
    original = b"no full" if first == second else b"original"
    seen = 0
    async for moment, world in races(original, first, second, given=given):
        assert REJECTED == comparable(await world.end_state()), moment
        seen += 1
    assert seen > 10


@pytest.mark.law("L9")
async def test_a_delivery_that_died_when_the_photo_was_rejected_is_ended() -> None:
    """Otherwise readers would pull the author for a week, as one whose photo is on its way."""
    second: list[Message] = [Rejection(PHOTO, "broken")]
    seen = 0
    async for moment, world in races_and_kills(b"original", [THUMBNAIL], second, given=[UPLOADED]):
        assert REJECTED == comparable(await world.end_state()), moment
        seen += 1
    assert seen > 20


@pytest.mark.parametrize(
    ("first", "second"),
    [([FULL], [FULL]), ([THUMBNAIL], [FULL]), ([FULL], [THUMBNAIL]), ([UPLOADED], [THUMBNAIL])],
)
async def test_tasks_may_overlap_and_come_again(first: list[Message], second: list[Message]) -> None:
    """In any order and interleaving, the photo ends as if each task had come once."""
    seen = 0
    async for moment, world in races(b"original", first, second, given=[UPLOADED, THUMBNAIL]):
        assert READY == comparable(await world.end_state()), moment
        assert await world.copy_is_current(), moment
        seen += 1
    assert seen > 1


async def test_edges_forget_what_is_deleted() -> None:
    """Every rendition that had a URL is purged, and only after the objects are deleted."""
    world = await new_world()
    await whole_way(world)
    there: list[int] = []

    async def at(moment: Moment) -> None:
        if (moment.store, moment.done) == ("cdn", False):
            there.append(len(world.objects))

    disturb(world, at)
    await world.handle(DELETED)
    await world.drain()

    assert (ALL_FOUR, [0]) == ((await world.end_state()).purged, there)


async def test_what_is_made_is_not_made_again() -> None:
    """If the renditions are stored already, repeated messages decode nothing again."""
    world = await new_world()
    for message in await ready_thumbnail(world):
        await world.handle(message)
    await world.drain()
    decoded = len(world.decoder.decoded)
    for message in (UPLOADED, THUMBNAIL, FULL):
        await world.handle(message)
    await world.drain()

    assert (1 + 3, 1 + 3) == (decoded, len(world.decoder.decoded))
    assert comparable(await world.end_state()) == READY


async def test_thumbnails_and_the_rest_go_by_their_own_lanes() -> None:
    """Removals go by the full lane, too, because no user waits for it."""
    world = await new_world()
    await whole_way(world)
    await world.handle(DELETED)

    lanes = [("ThumbnailTask", Lane.THUMBNAIL), ("FullTask", Lane.FULL), ("RemovalTask", Lane.FULL)]
    assert lanes == world.log.lanes


async def test_a_photo_with_a_thumbnail_of_its_own_gets_no_others() -> None:
    """The upstream app has made all renditions that it wants."""
    world = await new_world()
    given = {"thumbnail": {"object_key": "theirs/t.jpg", "width": 150, "height": 100}}
    await world.handle(UPLOADED.model_validate({**UPLOADED.model_dump(), "renditions": given}))

    assert ([], Status.READY) == (world.log.lanes, (await world.end_state()).status)


async def test_only_our_own_objects_are_removed() -> None:
    """An upstream app's original and another photo's renditions stay."""
    world = await new_world()
    theirs = {"app/original.jpg", KEYS.rendition(PHOTO, "x", "0" * 64, "jpg").replace(str(PHOTO), "77")}
    world.objects.update(dict.fromkeys(theirs, b"original"))
    await world.handle(UPLOADED.model_copy(update={"object_key": "app/original.jpg"}))
    await world.drain()
    assert 2 + 1 + 4 == len(world.objects)
    await world.handle(DELETED)
    await world.drain()

    assert theirs == world.objects.keys()


async def test_an_original_that_vanishes_before_its_task_is_waited_for() -> None:
    """The photo is parked as if the original had never arrived, and is ready once it is back."""
    world = await new_world()
    await world.handle(UPLOADED)
    original = world.objects.pop(ORIGINAL)
    await world.drain()
    [parked] = await world.real.parked.due(2**41, 9)
    assert (NOW_MS, NOW_MS + POLL_MS) == (parked.parked_ms, parked.due_ms)
    await world.look_at_parked(WAIT_MS - 1)
    assert (await world.end_state()).status is Status.PROCESSING
    world.objects[ORIGINAL] = original
    await world.look_at_parked(POLL_MS)

    assert comparable(await world.end_state()) == READY


async def test_an_original_above_the_limit_is_rejected_by_its_first_bytes() -> None:
    """No more than one byte above the limit is ever read."""
    world = await new_world(b"x" * 1_000)
    seen: list[int] = []

    async def thumbnail(original: bytes) -> object:
        seen.append(len(original))
        return await type(world.decoder).thumbnail(world.decoder, original)

    world.decoder.thumbnail = thumbnail  # type: ignore[method-assign,assignment]
    await whole_way(world)

    assert [world.rules.original_bytes_max + 1] == seen


async def test_the_author_sees_why() -> None:
    """The photo's row has the reason of the rejection."""
    world = await new_world(b"no thumbnail")
    await whole_way(world)

    assert (await world.end_state()).reason == Reason.BROKEN
