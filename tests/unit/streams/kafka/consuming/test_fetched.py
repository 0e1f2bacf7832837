"""A partition is committed up to the first record that is not handled, whatever became of the agent."""

import pytest
from faust.types import TP

from streams.kafka.consuming.fetched import HandledOffsets, WholeFetches

LOG, OTHER = TP("t", 0), TP("t", 1)


@pytest.fixture
def offsets() -> HandledOffsets:
    return HandledOffsets()


def test_what_is_handled_in_order_is_committed(offsets: HandledOffsets) -> None:
    first = offsets.fetched(LOG, 10, 20)
    second = offsets.fetched(LOG, 20, 30)
    assert {} == offsets.uncommitted()

    offsets.handled(LOG, first, 15)
    assert {LOG: 15} == offsets.uncommitted()
    offsets.handled(LOG, first, 20)
    offsets.handled(LOG, second, 30)

    assert {LOG: 30} == offsets.uncommitted()


def test_a_fetch_that_was_lost_is_never_passed(offsets: HandledOffsets) -> None:
    """Its agent was cancelled, and the next one began with the next fetch."""
    offsets.fetched(LOG, 10, 11)
    second = offsets.fetched(LOG, 11, 12)
    third = offsets.fetched(LOG, 12, 13)

    offsets.handled(LOG, second, 12)
    offsets.handled(LOG, third, 13)

    assert {} == offsets.uncommitted()


def test_a_gap_between_fetches_is_not_waited_for(offsets: HandledOffsets) -> None:
    """Control records and deleted ones have offsets, and never arrive."""
    first = offsets.fetched(LOG, 10, 12)
    second = offsets.fetched(LOG, 15, 16)
    offsets.handled(LOG, first, 12)
    offsets.handled(LOG, second, 16)

    assert {LOG: 16} == offsets.uncommitted()


def test_records_that_are_fetched_again_move_nothing_back(offsets: HandledOffsets) -> None:
    """The consumer went back to what is committed while a fetch was in the agent's hands."""
    first = offsets.fetched(LOG, 10, 20)
    again = offsets.fetched(LOG, 10, 15)
    offsets.handled(LOG, first, 20)
    offsets.handled(LOG, again, 15)

    assert {LOG: 20} == offsets.uncommitted()


def test_a_lost_fetch_is_made_up_for_when_it_is_fetched_again(offsets: HandledOffsets) -> None:
    offsets.fetched(LOG, 10, 20)
    again = offsets.fetched(LOG, 10, 20)
    following = offsets.fetched(LOG, 20, 30)
    offsets.handled(LOG, again, 20)
    offsets.handled(LOG, following, 30)

    assert {LOG: 30} == offsets.uncommitted()


def test_a_commit_is_not_repeated(offsets: HandledOffsets) -> None:
    offsets.handled(LOG, offsets.fetched(LOG, 0, 5), 5)
    offsets.committed({LOG: 5, OTHER: 9})

    assert {} == offsets.uncommitted()
    offsets.handled(LOG, offsets.fetched(LOG, 5, 6), 6)
    assert {LOG: 6} == offsets.uncommitted()


def test_a_revoked_partition_begins_again(offsets: HandledOffsets) -> None:
    """Late news of the earlier assignment changes nothing once another worker may be further."""
    begin = offsets.fetched(LOG, 0, 5)
    offsets.forget([LOG])
    offsets.handled(LOG, begin, 5)
    assert {} == offsets.uncommitted()

    offsets.fetched(LOG, 50, 60)
    offsets.handled(LOG, begin, 5)
    assert {} == offsets.uncommitted()


def test_partitions_without_records_are_left_out() -> None:
    assert [(LOG, ["r"])] == list(WholeFetches().iterate({LOG: ["r"], OTHER: []}))


def test_positions_are_those_of_what_was_fetched_and_of_what_the_broker_has(offsets: HandledOffsets) -> None:
    begin = offsets.fetched(LOG, 3, 9)
    offsets.handled(LOG, begin, 6)
    assert {LOG: (9, 3)} == offsets.positions()

    offsets.committed(offsets.uncommitted())
    assert {LOG: (9, 6)} == offsets.positions()
    offsets.forget([LOG])
    assert {} == offsets.positions()
