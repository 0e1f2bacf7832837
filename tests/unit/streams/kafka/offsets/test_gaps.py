"""Offsets without a record are skipped, and looked up as rarely as possible."""

from hypothesis import given
from hypothesis import strategies as st

from streams.kafka.offsets.queued import Span, queued_records
from tests.worlds.kafka import FakeOffsets

LOG = ("t", 0)


async def skip(offsets: FakeOffsets, begin: int, group: str = "g") -> int:
    return (await offsets.skip_gaps(group, "t", {0: Span(begin, offsets.end_of[LOG])}))[0]


async def test_a_group_that_moves_is_not_looked_up() -> None:
    """It reads records, so there are some."""
    offsets = FakeOffsets(end_of={LOG: 9}, empty_of={LOG: {3}})

    assert [1, 2, 3, 4] == [await skip(offsets, begin) for begin in (1, 2, 3, 4)]
    assert [] == offsets.looks


async def test_a_group_that_stands_still_is_looked_up_once() -> None:
    """What was learned stays true, whether a record follows or not."""
    offsets = FakeOffsets(end_of={LOG: 9}, empty_of={LOG: {3, 4, 7, 8}})

    assert [3, 5, 5, 5] == [await skip(offsets, 3) for _ in range(4)]
    assert [7, 9, 9, 9] == [await skip(offsets, 7) for _ in range(4)]
    assert [LOG, LOG] == offsets.looks


async def test_a_log_that_has_grown_behind_a_gap_is_looked_up_again() -> None:
    """Its new offsets may be records, or another gap."""
    offsets = FakeOffsets(end_of={LOG: 9}, empty_of={LOG: {7, 8}})
    assert [7, 9] == [await skip(offsets, 7) for _ in range(2)]
    offsets.end_of[LOG] = 10

    assert [9, 9] == [await skip(offsets, 7) for _ in range(2)]
    assert [LOG, LOG] == offsets.looks


async def test_groups_do_not_share_what_they_asked() -> None:
    """Two groups at one offset do not look like one that stands still."""
    offsets = FakeOffsets(end_of={LOG: 9}, empty_of={LOG: {3}})

    assert [3, 3] == [await skip(offsets, 3, group) for group in ("a", "b")]


@given(
    begin=st.integers(0, 9),
    empty=st.sets(st.integers(0, 30)),
    steps=st.lists(st.tuples(st.integers(0, 2), st.integers(0, 3)), min_size=1, max_size=12),
)
async def test_no_record_is_ever_skipped(begin: int, empty: set[int], steps: list[tuple[int, int]]) -> None:
    """Whatever moves between two calls; and a group that stands still sees every gap."""
    offsets = FakeOffsets(begin_of={LOG: begin}, end_of={LOG: begin}, empty_of={LOG: empty})
    commit = begin
    for moved, grown in steps:
        offsets.end_of[LOG] += grown
        end = offsets.end_of[LOG]
        commit = min(commit + moved, end)
        if commit == end:
            continue
        records = [offset for offset in range(commit, end) if offset not in empty]
        first = await skip(offsets, commit)
        assert commit <= first <= min([*records, end])
        assert min([*records, end]) == await skip(offsets, commit)


async def test_a_drained_group_behind_a_gap_has_nothing_queued() -> None:
    """An uploader is not refused, and `drained` returns, although the commit stays below the end."""
    offsets = FakeOffsets(end_of={LOG: 9}, empty_of={LOG: {7, 8}}, commit_of={("g", *LOG): 7})
    counts = [await queued_records(offsets, group="g", topic="t", partitions=[0]) for _ in range(3)]

    assert [2, 0, 0] == counts
