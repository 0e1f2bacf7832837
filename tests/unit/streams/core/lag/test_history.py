"""What waited in the last minutes: peaks are not lost, and the size is bounded."""

from streams.core.lag.history import LagHistory
from tests.unit.streams.core.lag.traces import GROUP, TOPIC, Trace


def remembered(history: LagHistory) -> dict[str, object]:
    [lane] = history.json()["lanes"]
    assert (GROUP, TOPIC) == (lane["group"], lane["topic"])
    return dict(lane)


def test_a_column_has_the_most_of_its_samples() -> None:
    """A peak between two columns' ends is seen: of all messages, and of each partition."""
    trace, history = Trace(partitions=2), LagHistory(step_s=10, columns_max=60)
    for count in (3, 40, 0):
        trace.produce(count)
        history.add(trace.now_ms, [trace.look()])
        trace.consume()

    lane = remembered(history)
    assert [40] == lane["messages"]
    assert [[40], [0]] == lane["partitions"]


def test_only_the_newest_columns_are_remembered() -> None:
    trace, history = Trace(), LagHistory(step_s=10, columns_max=3)
    for count in range(1, 6):
        trace.produce(count)
        history.add(trace.now_ms, [trace.look(10)])
        trace.consume()

    assert [3, 4, 5] == remembered(history)["messages"]
    assert 3 == len(history.json()["at"])


def test_what_is_unknown_is_null() -> None:
    """In one column the brokers respond and then do not; in the next one they never do."""
    trace, history = Trace(), LagHistory(step_s=10, columns_max=60)
    trace.produce(4)
    history.add(0, [trace.look()])
    history.add(9_999, [trace.look_in_vain()])
    history.add(10_000, [trace.look_in_vain()])

    lane = remembered(history)
    assert [4, None] == lane["messages"]
    assert [[4, None]] == lane["partitions"]


def test_partitions_that_a_topic_gets_later_were_unknown_before() -> None:
    trace, history = Trace(), LagHistory(step_s=10, columns_max=60)
    history.add(0, [trace.look()])
    trace.grow(2)
    trace.produce(3, partition=1)
    history.add(10_000, [trace.look()])

    assert [[0, 0], [None, 3]] == remembered(history)["partitions"]


def test_samples_are_late_when_a_record_has_waited_for_more_than_five_seconds() -> None:
    trace, history = Trace(), LagHistory(step_s=10, columns_max=60)
    trace.produce(1)
    for _ in range(4):
        history.add(trace.now_ms, [trace.look(2)])
    history.add(trace.now_ms, [trace.look_in_vain()])

    lane = remembered(history)
    assert (4, 2) == (lane["samples"], lane["late"])


def test_a_clock_that_is_set_back_begins_a_column() -> None:
    """Samples of an hour would otherwise be one column."""
    trace, history = Trace(), LagHistory(step_s=10, columns_max=60)
    for now_ms in (3_650_000, 50_000, 51_000, 60_000):
        trace.produce(1)
        history.add(now_ms, [trace.look()])

    assert [1, 3, 4] == remembered(history)["messages"]
    assert ["01:00:50", "00:00:50", "00:01:00"] == [time[11:19] for time in history.json()["at"]]
