"""The backlog is what was published and not committed, whatever the order in which both are seen."""

from hypothesis import given
from hypothesis import strategies as st

from streams.core.overload.backlog import LaneBacklog, PartitionBacklog, lane_backlog

# A record with so many deliveries, at an offset some after the last; or a commit of the offset so far before
# or after the last record.
records = st.tuples(st.just("record"), st.integers(1, 5), st.integers(0, 1_000))
commits = st.tuples(st.just("commit"), st.integers(-10, 5), st.just(0))


@given(st.lists(records | commits, max_size=60))
def test_it_is_the_sum_over_the_records_that_are_not_committed(steps: list[tuple[str, int, int]]) -> None:
    """Offsets have gaps, commits may go back or be ahead of what was read, and records may be read twice."""
    backlog = PartitionBacklog()
    published: dict[int, int] = {}
    last = committed = 0
    for step, number, deliveries in steps:
        if step == "record":
            last += number
            for _ in range(2):
                backlog.add(last, 1_000 + last, deliveries)
            published[last] = deliveries
        else:
            committed = max(committed, last + number)
            backlog.commit(last + number)
        waiting = {offset: count for offset, count in published.items() if offset >= committed}

        assert (backlog.records, backlog.deliveries) == (len(waiting), sum(waiting.values()))
        assert backlog.oldest_ms == (1_000 + min(waiting) if waiting else None)


def test_a_lane_has_the_sums_and_the_oldest_of_its_partitions() -> None:
    partitions = {number: PartitionBacklog() for number in range(3)}
    assert lane_backlog(partitions) == LaneBacklog(oldest_ms=dict.fromkeys(range(3)))
    partitions[0].add(5, 70, 10)
    partitions[2].add(9, 60, 5)
    partitions[2].add(10, 80, 1)

    assert lane_backlog(partitions) == LaneBacklog(16, 3, {0: 70, 1: None, 2: 60})
