"""The records that a group still has to handle, whatever its commits and the logs look like."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.errors import StoreUnavailable
from streams.kafka.offsets.queued import queued_records
from tests.worlds.kafka import FakeOffsets


async def queued(offsets: FakeOffsets) -> int:
    return await queued_records(offsets, group="g", topic="t", partitions=range(3))


@pytest.mark.parametrize(
    ("begin", "commit", "end", "expected"),
    [
        pytest.param(0, 7, 10, 3, id="from the commit"),
        pytest.param(4, None, 10, 6, id="without a commit, all that the log holds"),
        pytest.param(8, 5, 10, 2, id="what the log has lost is not queued"),
        pytest.param(0, 12, 10, 0, id="a commit past the end"),
    ],
)
async def test_records_between_the_commit_and_the_end_are_queued(
    begin: int, commit: int | None, end: int, expected: int
) -> None:
    """The count starts at the commit, but is never above the number of records in the log."""
    offsets = FakeOffsets(begin_of={("t", 1): begin}, end_of={("t", 1): end})
    if commit is not None:
        offsets.commit_of["g", "t", 1] = commit

    assert expected == await queued(offsets)


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9), st.integers(0, 9)), min_size=3, max_size=3))
async def test_a_partition_never_reduces_the_count_of_the_others(logs: list[tuple[int, int, int]]) -> None:
    """The count of all is the sum of the counts of each, none of which is negative."""
    alone = []
    together = FakeOffsets()
    for partition, (begin, commit, length) in enumerate(logs):
        offsets = FakeOffsets()
        for fake in (offsets, together):
            fake.begin_of["t", partition], fake.end_of["t", partition] = begin, begin + length
            fake.commit_of["g", "t", partition] = commit
        alone.append(await queued(offsets))

    assert all(0 <= count <= length for count, (_, _, length) in zip(alone, logs, strict=True))
    assert sum(alone) == await queued(together)


async def test_a_broker_that_does_not_answer_gives_no_count() -> None:
    """Zero would say that everything is done."""
    with pytest.raises(StoreUnavailable):
        await queued(FakeOffsets(is_down=True))
