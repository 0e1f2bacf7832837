"""Counted sets: repeated, late and reordered events yield the same rows and the same count."""

from collections.abc import Iterable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.ids import ID_MAX
from streams.core.counted import (
    BUCKETS,
    LEVEL_MAX,
    RECORD_MEMBERS,
    Change,
    Membership,
    bucket_of,
    bucket_ranges,
    fold,
    level_for,
)

memberships = st.builds(Membership, time_us=st.integers(1, 4), removed=st.booleans())
changes = st.lists(st.builds(Change, member=st.integers(1, 3), now=memberships), max_size=12)

Bucket = tuple[dict[int, Membership], int]
EMPTY: Bucket = ({}, 0)


def apply(bucket: Bucket, batch: Sequence[Change]) -> Bucket:
    """Return the bucket after the writer applied the batch: old and new rows, and the new count."""
    rows, count = bucket
    result = fold(rows, count, batch)
    return {**rows, **result.rows}, result.count


def truth(log: Iterable[Change]) -> dict[int, Membership]:
    """The greatest state of each member, by time and then by `removed`."""
    rows: dict[int, Membership] = {}
    for change in log:
        before = rows.get(change.member, change.now)
        rows[change.member] = max(before, change.now, key=lambda state: (state.time_us, state.removed))
    return rows


def live_in(rows: dict[int, Membership]) -> int:
    return sum(not state.removed for state in rows.values())


@pytest.mark.parametrize(
    ("first", "second", "wins"),
    [
        (Membership(1, False), Membership(2, True), Membership(2, True)),
        (Membership(1, True), Membership(2, False), Membership(2, False)),
        (Membership(1, False), Membership(1, True), Membership(1, True)),
    ],
)
def test_the_later_wins_and_at_equal_times_removed_does(
    first: Membership, second: Membership, wins: Membership
) -> None:
    """The result is the same whichever of the two arrives first."""
    for one, other in ((first, second), (second, first)):
        assert apply(EMPTY, [Change(7, one), Change(7, other)])[0] == {7: wins}
        assert apply(apply(EMPTY, [Change(7, one)]), [Change(7, other)])[0] == {7: wins}


def test_nothing_beats_itself() -> None:
    """A state that is stored already is not written again."""
    state = Membership(1, removed=False)

    assert not state.beats(state)
    assert state.beats(None)


@given(changes, st.data())
def test_any_batches_in_any_order_end_with_the_truth(log: list[Change], data: st.DataObject) -> None:
    """Changes are shuffled, repeated and cut into batches anywhere.

    Each row is then its member's greatest state, and the count is the number not removed.
    """
    arrivals = data.draw(
        st.permutations(log + data.draw(st.lists(st.sampled_from(log)) if log else st.just([])))
    )
    cuts = sorted(data.draw(st.lists(st.integers(0, len(arrivals)))))
    bucket = EMPTY
    for begin, end in zip([0, *cuts], [*cuts, len(arrivals)], strict=True):
        bucket = apply(bucket, arrivals[begin:end])

    rows, count = bucket
    assert rows == truth(log)
    assert count == live_in(rows)


@given(changes, changes)
def test_folding_again_changes_nothing(before: list[Change], batch: list[Change]) -> None:
    """No row is written a second time, and the count stays."""
    once = apply(apply(EMPTY, before), batch)
    again = fold(*once, batch)

    assert again.rows == {}
    assert again.count == once[1]


@given(changes, changes)
def test_only_rows_that_changed_are_written(before: list[Change], batch: list[Change]) -> None:
    """Every written row beats the stored one; a change that does not is left out."""
    stored, count = apply(EMPTY, before)

    for member, state in fold(stored, count, batch).rows.items():
        assert state.beats(stored.get(member))


@given(changes, changes, st.integers(0, 1_000))
def test_the_count_moves_by_what_changed(before: list[Change], batch: list[Change], others: int) -> None:
    """The bucket has rows that the batch does not touch; their count is carried over."""
    stored, count = apply(EMPTY, before)
    result = fold(stored, count + others, batch)

    assert result.count == others + live_in({**stored, **result.rows})


@given(changes, changes)
def test_those_who_joined_are_in_by_an_event_of_this_batch(before: list[Change], batch: list[Change]) -> None:
    """A member has joined even if its row was stored before the batch.

    The worker may have stored the row and died before it requested the backfill.
    """
    stored, count = apply(EMPTY, before)
    result = fold(stored, count, batch)
    rows = {**stored, **result.rows}
    mentioned = {change.member for change in batch}

    assert set(result.joined) == {member for member in mentioned if not rows[member].removed}
    assert len(result.joined) == len(set(result.joined))
    assert fold(rows, result.count, batch).joined == result.joined


@given(st.integers(1, ID_MAX), st.integers(0, LEVEL_MAX))
def test_a_bucket_is_one_of_its_level(member: int, level: int) -> None:
    """The same member and level always have the same bucket."""
    assert 0 <= bucket_of(member, level) < BUCKETS[level]
    assert bucket_of(member, level) == bucket_of(member, level)


def test_buckets_never_change() -> None:
    """Buckets are part of stored keys; another hash would lose a large account's followers."""
    assert [bucket_of(member, LEVEL_MAX) for member in (1, 2, 3, 2**40, ID_MAX)] == [
        1_509,
        5_258,
        10_480,
        29_688,
        57_021,
    ]


@pytest.mark.parametrize("step", [1, 1 << 10, 1 << 23])
def test_members_spread_evenly(step: int) -> None:
    """For ids one, one shard, or one millisecond apart, no bucket holds twice its share."""
    members = 64 * BUCKETS[1]
    counts = [0] * BUCKETS[1]
    for member in range(1, members * step, step):
        counts[bucket_of(member, 1)] += 1

    assert max(counts) < 2 * members / BUCKETS[1]


@pytest.mark.parametrize(
    ("total", "level", "expected"),
    [(0, 0, 0), (3, 0, 0), (4, 0, 1), (48, 1, 1), (49, 1, 2), (49, 0, 2), (1, 2, 2), (10**9, 0, LEVEL_MAX)],
)
def test_a_set_grows_when_its_buckets_are_full(total: int, level: int, expected: int) -> None:
    """With buckets of three, levels hold 3, 48, 768 members, and the last any number.

    A level never decreases.
    """
    assert level_for(total, level, bucket_members_max=3) == expected


@given(st.integers(0, 10**8), st.integers(0, LEVEL_MAX))
def test_ranges_have_every_bucket_once_and_about_as_many_members(total: int, level: int) -> None:
    """A missing bucket would lose a post for its followers. A range of more than one bucket has, on
    average, no more than `RECORD_MEMBERS` members, and two neighbours have more than that."""
    ranges = bucket_ranges(total, level)
    average = total / BUCKETS[level]

    assert [bucket for buckets in ranges for bucket in buckets] == list(range(BUCKETS[level]))
    assert all(len(buckets) == 1 or len(buckets) * average <= RECORD_MEMBERS for buckets in ranges)
    assert all(len(buckets) * average * 2 > RECORD_MEMBERS for buckets in ranges[:-1])
