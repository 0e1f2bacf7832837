"""Law: counts are exact at quiescence, whatever was repeated, reordered, killed, or answered late.

The real writer of the sets over stores in memory; hypothesis looks for a schedule that
leaves a wrong count, a wrong member or a follower without a backfill.
"""

from collections.abc import Sequence

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.ids import unpack_ids
from schemas.internal import EdgeRecord, SetKind
from streams.core.counted import BUCKETS, bucket_of
from streams.core.sets import BucketKey, SetSummary
from tests.simulation.schedules import Owner, World, run_to_the_end

AUTHOR, PHOTO = 7, 9
# The state space is large, so there are three times as many examples as for other properties.
EXAMPLES = 3 * settings().max_examples
# Enough store calls for an owner to finish a batch in these tests, even one in which a set changes to
# a level with more buckets.
STEPS_OF_A_BATCH = 60

Step = tuple[str, int, int]


def edge(kind: SetKind, owner: int, member: int, time_us: int, removed: bool) -> EdgeRecord:
    return EdgeRecord(kind, member, owner, time_us, removed)


# There are few members and few times, so that changes often concern the same edge.
changes = st.one_of(
    st.builds(
        edge, st.just(SetKind.FOLLOWERS), st.just(AUTHOR), st.integers(1, 6), st.integers(1, 3), st.booleans()
    ),
    st.builds(
        edge, st.just(SetKind.LIKERS), st.just(PHOTO), st.integers(1, 3), st.integers(1, 3), st.booleans()
    ),
)


@st.composite
def logs(draw: st.DrawFn) -> list[EdgeRecord]:
    """Draw changes around a crowd of followers: none, or so many that the set grows by one or two
    levels."""
    crowd = draw(st.sampled_from([0, 0, 2, 5, 44, 52]))
    joins = [follow(100 + at) for at in range(crowd)]
    at = draw(st.integers(0, crowd))
    some = st.lists(changes, max_size=6)
    return [*draw(some), *joins[:at], *draw(some), *joins[at:], *draw(some)]


def follow(member: int, *, removed: bool = False) -> EdgeRecord:
    return edge(SetKind.FOLLOWERS, AUTHOR, member, 1, removed)


steps: st.SearchStrategy[Step] = st.one_of(
    st.tuples(st.just("run"), st.integers(0, 1), st.integers(1, 60)),
    st.tuples(st.just("run"), st.integers(0, 1), st.integers(1, 6)),
    st.tuples(st.sampled_from(["kill", "fail before", "fail after", "late"]), st.integers(0, 1), st.just(0)),
    st.tuples(st.sampled_from(["land", "rewind"]), st.just(0), st.just(0)),
)
# How many rows a writer caches: none, those of a few sets, or all.
known_maxima = st.sampled_from([0, 4, 1_000])
batch_sizes = st.tuples(*[st.sampled_from([1, 2, 3, 7, 60])] * 3)


async def play(
    world: World, schedule: Sequence[Step], sizes: tuple[int, ...], *, overlapping: bool = False
) -> None:
    """Take the schedule's steps, then let a last owner finish; what is late lands at the very end.

    Unless `overlapping`, an owner ends where the next begins; what it has in flight may
    still land.
    """
    owners: list[Owner | None] = [None, None]
    for action, who, count in schedule:
        other = owners[1 - who]
        if other is not None and not overlapping and action != "land":
            other.kill()
            owners[1 - who] = None
        owner = owners[who] = owners[who] or Owner(world, sizes[who])
        match action:
            case "run":
                for _ in range(count):
                    owner.step()
            case "kill":
                owner.kill()
                owners[who] = None
            case "fail before" | "fail after":
                owner.fail_next(done=action == "fail after")
            case "late":
                owner.delay_next_write()
            case "land":
                await world.land()
            case "rewind":
                world.committed = 0
    for left in owners:
        if left is not None:
            left.kill()
    run_to_the_end(world, sizes[2])
    await world.land()


async def check(world: World) -> None:
    """Check that totals, also cached ones, counts, pages, members and backfills are those of the log."""
    counted, cached = world.stores.counted_sets, await world.totals()
    for (kind, owner), rows in world.truth().items():
        members = sorted(member for member, state in rows.items() if not state.removed)
        head = (await counted.summaries(kind, [owner]))[owner]
        bucket_counts = await counted.bucket_counts(kind, owner, head.level)
        found: list[int] = []
        for bucket, live in bucket_counts.items():
            key = BucketKey(kind, owner, head.level, bucket)
            some = unpack_ids((await counted.members([key]))[key])
            stored = await counted.bucket(key)
            assert list(some) == sorted(stored.members)
            assert live == len(some), f"bucket {bucket} of level {head.level}"
            assert all(bucket_of(member, head.level) == bucket for member in some)
            found.extend(some)

        assert sorted(found) == members
        assert head.total == len(members)
        assert world.has_cache_failed or cached[kind, owner] == len(members)
        assert len(bucket_counts) <= BUCKETS[head.level]
        if kind is SetKind.FOLLOWERS:
            assert {(member, owner) for member in members} <= world.backfilled


@pytest.mark.law("L6")
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(log=logs(), schedule=st.lists(steps, max_size=40), sizes=batch_sizes, known_max=known_maxima)
async def test_counts_are_exact_whatever_happens_to_the_owners(
    log: list[EdgeRecord], schedule: list[Step], sizes: tuple[int, ...], known_max: int
) -> None:
    """Sets that grow; kills at any call, failures before and after it, late writes, redelivery."""
    world = World(log, known_max=known_max)
    await play(world, schedule, sizes)

    await check(world)


@pytest.mark.law("L6")
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(log=logs(), schedule=st.lists(steps, max_size=40), sizes=batch_sizes, known_max=known_maxima)
async def test_counts_are_exact_while_two_owners_write(
    log: list[EdgeRecord], schedule: list[Step], sizes: tuple[int, ...], known_max: int
) -> None:
    """An owner that has been replaced goes on for as long as it likes, also where a set grows meanwhile."""
    world = World(log, known_max=known_max)
    await play(world, schedule, sizes, overlapping=True)

    await check(world)


@pytest.mark.law("L6")
@pytest.mark.parametrize(
    ("crowd", "sizes"), [(46, (60, 1, 3)), (5, (2, 1, 1)), (5, (1, 1, 5)), (52, (60, 1, 1))]
)
async def test_a_kill_at_any_step_leaves_exact_counts(crowd: int, sizes: tuple[int, ...]) -> None:
    """Every step of a set that grows, and the next owner cuts its batches elsewhere. So a raise of the level
    comes again with the stamp of an earlier offset, while the set's total stands at a later one."""
    log = [follow(member) for member in range(1, crowd + 1)]
    for killed_after in range(STEPS_OF_A_BATCH):
        world = World(log)
        await play(world, [("run", 0, killed_after), ("kill", 0, 0)], sizes)

        await check(world)


@pytest.mark.law("L6")
@pytest.mark.parametrize("sizes", [(3, 3, 1), (2, 3, 2), (1, 3, 6)])
async def test_two_owners_of_a_set_that_grows_leave_exact_counts(sizes: tuple[int, ...]) -> None:
    """For a moment there are two: one has copied the set to the next level while the other still changes it
    at the level before. Of every two meetings of theirs one is tried."""
    log = [*[follow(1)] * 5, follow(1, removed=True)]
    for first in range(40):
        for second in range(0, 40, 2):
            world = World(log)
            await play(world, [("run", 1, first), ("run", 0, second), ("run", 1, 8)], sizes)

            await check(world)


async def test_a_copy_that_was_left_behind_does_no_harm() -> None:
    """An owner dies while it copies a set to the next level, and the set changes. Then all records
    are delivered again from the first, and the set is copied onto the rows that the first copy
    wrote."""
    log = [follow(3, removed=True), follow(1), follow(1), follow(2), follow(1), follow(1, removed=True)]
    for killed_after in range(STEPS_OF_A_BATCH):
        world = World(log)
        schedule = [("run", 0, killed_after), ("kill", 0, 0), ("run", 1, 200), ("rewind", 0, 0)]
        await play(world, schedule, (3, 1, 3))

        await check(world)


@pytest.mark.parametrize("size", [1, 2, 7, 60, 1_000])
async def test_a_set_grows_through_its_levels(size: int) -> None:
    """60 followers end in level 2, where buckets of three hold them, whether records are applied
    one by one or all at once."""
    world = World([follow(member) for member in range(1, 61)])
    await play(world, [], (1, 1, size))
    heads = await world.stores.counted_sets.summaries(SetKind.FOLLOWERS, [AUTHOR])

    assert heads == {AUTHOR: SetSummary(level=2, total=60)}
    await check(world)
