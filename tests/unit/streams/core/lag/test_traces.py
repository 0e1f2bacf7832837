"""What the monitor says in situations that it must tell apart, second by second."""

import pytest

from streams.core.lag.samples import StoredStop
from streams.core.lag.states import LagState
from tests.unit.streams.core.lag.traces import DAY_S, NOW_MS, TOPIC, Trace

OK, SLOW, STOPPED, STALLED = LagState.OK, LagState.SLOW, LagState.STOPPED, LagState.STALLED


def test_an_idle_topic_is_ok() -> None:
    """However long nothing is published, also if nobody reads it."""
    trace = Trace(partitions=3)
    trace.produce(7)
    trace.consume()
    assert {OK} == set(trace.looks(600))

    trace.join()
    assert {OK} == set(trace.looks(600))
    assert "nothing waits" == trace.look().verdict.reason


def test_an_empty_group_that_never_committed_is_ok_while_nothing_was_published() -> None:
    trace = Trace()
    trace.logs[0].committed = None
    trace.join()

    assert {OK} == set(trace.looks(120))
    assert 0 == trace.look().topics[0].lag_messages


def test_a_group_that_never_committed_lags_from_the_start_of_the_log() -> None:
    """And the reason says so."""
    trace = Trace()
    trace.produce(10)
    trace.logs[0].committed, trace.logs[0].start = None, 4
    trace.look()
    partition = trace.look().topics[0].partitions[0]
    assert (6, None) == (partition.lag_messages, partition.committed)
    assert "NO-COMMIT" in partition.verdict.reason

    trace.join()
    trace.looks(4)
    assert (STOPPED, True) == (
        trace.look().verdict.state,
        "NO-COMMIT" in trace.look().topics[0].verdict.reason,
    )


def test_a_burst_that_is_read_is_ok_and_says_when_it_is_done() -> None:
    trace = Trace()
    trace.looks(60)
    trace.produce(10_000)
    states, drains, reasons = [], [], []
    for _ in range(60):
        trace.consume(200)
        lag = trace.look()
        states.append(lag.verdict.state)
        drains.append(lag.topics[0].drain_s)
        reasons.append(lag.topics[0].partitions[0].verdict.reason)

    assert {OK} == set(states)
    # In the first minute more arrived than was read. Then 100 a second are read, and 3,400 are left.
    assert (None, None, 34.0) == (drains[0], drains[20], drains[32])
    assert "for about 34 s more" in reasons[32]
    # Nothing waits any more.
    assert drains[-1] is None


def test_a_lag_that_grows_or_does_not_fall_is_slow() -> None:
    """Within a minute; the sentence has both rates."""
    trace = Trace()
    trace.look()
    states = []
    for _ in range(40):
        trace.produce(300)
        trace.consume(200)
        lag = trace.look()
        states.append(lag.verdict.state)
    assert {OK} == set(states[:29])
    assert {SLOW} == set(states[29:])
    assert "150.0 a second arrive, 100.0 are committed" in lag.verdict.reason
    assert lag.topics[0].drain_s is None
    for _ in range(40):
        trace.consume(200)
        states.append(trace.look().verdict.state)
    assert OK == states[-1]


def test_a_lag_like_the_teeth_of_a_saw_is_ok() -> None:
    """A lane that commits batches of 10 s is never empty when the monitor looks."""
    trace = Trace()
    states = []
    for number in range(120):
        trace.produce(400)
        if number % 5 == 4:
            trace.consume()
        states.append(trace.look().verdict.state)

    assert {OK} == set(states)


def test_a_stuck_partition_is_stalled_since_it_last_moved_and_the_others_go_on() -> None:
    trace = Trace(partitions=3)
    trace.look()
    for _ in range(29):
        for number in range(3):
            trace.produce(3, number)
        trace.consume(partition=0)
        trace.consume(partition=2)
        lag = trace.look()
    assert OK == lag.verdict.state
    for _ in range(3):
        trace.produce(5)
        trace.consume()
        lag = trace.look()

    assert [OK, STALLED, OK] == [partition.verdict.state for partition in lag.topics[0].partitions]
    assert NOW_MS + 2_000 == lag.verdict.since_ms
    assert "partition 1: its commit has not moved for 64 s, and 87 records wait" == lag.verdict.reason


def test_a_record_may_take_as_long_as_its_group_says() -> None:
    """A rendition is decoded for minutes."""
    trace = Trace(still_s=660.0)
    trace.look()
    trace.produce(2)

    assert {OK} == set(trace.looks(650))
    assert STALLED == trace.looks(20)[-1]


def test_a_poison_record_is_named_by_its_offset() -> None:
    """Workers ended there again and again; the next commit ends it."""
    trace = Trace()
    trace.produce(9)
    trace.consume(4)
    trace.ended = {(TOPIC, 0): (4, 1)}
    assert OK == trace.look().verdict.state
    trace.ended = {(TOPIC, 0): (4, 2)}
    lag = trace.look()
    assert (LagState.POISON, "partition 0: 2 workers ended at offset 4, where 5 records wait") == (
        lag.verdict.state,
        lag.verdict.reason,
    )

    trace.consume(1)  # The count that was read is that of the former offset.
    assert OK == trace.look().verdict.state


@pytest.mark.parametrize("waiting", [0, 5])
def test_a_stop_at_the_dead_letter_limit_is_poison_since_it_was_stored(waiting: int) -> None:
    """Also if nothing waits yet, because only an operator ends it; it never becomes STALLED."""
    trace = Trace(partitions=2)
    trace.produce(waiting)
    trace.look()
    trace.stops = {(TOPIC, 0): StoredStop(reason="100 dead letters in a row", since_ms=77)}
    assert {LagState.POISON} == set(trace.looks(200))
    lag = trace.look()
    assert 77 == lag.verdict.since_ms
    assert "partition 0: it waits for an operator: 100 dead letters in a row" == lag.verdict.reason

    trace.stops = {}
    trace.consume()
    assert OK == trace.look().verdict.state


def test_a_poisoned_lane_names_all_its_partitions() -> None:
    trace = Trace(partitions=3)
    trace.stops = {
        (TOPIC, number): StoredStop(reason="100 dead letters in a row", since_ms=77 - number)
        for number in range(3)
    }

    lag = trace.look()
    assert "partitions 0, 1, 2: it waits for an operator: 100 dead letters in a row" == lag.verdict.reason
    assert 75 == lag.verdict.since_ms


def test_a_killed_worker_is_missed_when_its_session_ends() -> None:
    """The broker counts it as a member for 6 s. Then nobody owns the partitions: STOPPED in two samples."""
    trace = Trace()
    trace.look()
    trace.produce(40)
    assert [OK, OK, OK] == trace.looks(6)
    trace.join()
    assert [OK, STOPPED, STOPPED] == trace.looks(6)
    lag = trace.look()
    assert "partition 0: nobody reads it, and 40 records wait" == lag.verdict.reason
    assert NOW_MS + 10_000 == lag.verdict.since_ms

    trace.join("worker-2")
    trace.consume()
    assert OK == trace.look().verdict.state


def test_a_group_is_ok_since_the_last_of_its_partitions_is() -> None:
    """And as bad as its worst partition since the first of them is."""
    trace = Trace(partitions=3)
    trace.looks(20)
    trace.join()
    trace.produce(1, 0)
    trace.look()
    trace.produce(1, 2)
    trace.looks(6)
    lag = trace.look()
    assert (STOPPED, NOW_MS + 22_000) == (lag.verdict.state, lag.verdict.since_ms)

    trace.join("worker-2")
    trace.consume(partition=0)
    trace.consume(partition=2)
    for _ in range(3):
        lag = trace.look()
    assert (OK, NOW_MS + 32_000) == (lag.verdict.state, lag.verdict.since_ms)
    assert NOW_MS + 32_000 == lag.topics[0].verdict.since_ms


def test_another_worker_that_takes_over_is_no_stop() -> None:
    trace = Trace()
    trace.look()
    trace.produce(40)
    trace.looks(6)
    trace.join("worker-2", is_rebalancing=True, owned=range(0))
    assert LagState.REBALANCING == trace.look().verdict.state
    trace.join("worker-2")
    trace.consume(1)

    assert {OK} == set(trace.looks(20))


def test_a_worker_that_hangs_but_stays_a_member_is_stalled() -> None:
    """As one whose store is away. One that is stopped with SIGSTOP loses its membership, and is missed."""
    trace = Trace()
    trace.look()
    trace.produce(40)

    assert {OK} == set(trace.looks(58))
    assert [STALLED, STALLED] == trace.looks(4)
    trace.join()
    assert [STALLED, STOPPED] == trace.looks(4)


def test_a_worker_that_waits_for_cassandra_is_paused() -> None:
    """The monitor does not reach Cassandra either, so nobody looks for a bug of the worker. A worker that is
    gone is missed all the same."""
    trace = Trace()
    trace.look()
    trace.produce(40)
    trace.knows_stored = False

    assert {OK} == set(trace.looks(58))
    assert [LagState.PAUSED, LagState.PAUSED] == trace.looks(4)
    lag = trace.look()
    assert lag.verdict.reason.startswith(
        "partition 0: it waits for Cassandra: its commit has not moved for 64 s"
    )
    assert NOW_MS + 2_000 == lag.verdict.since_ms
    trace.knows_stored = True
    assert STALLED == trace.look().verdict.state
    trace.knows_stored = False
    trace.join()
    assert [LagState.PAUSED, STOPPED] == trace.looks(4)


def test_a_partition_that_no_member_owns_is_stopped() -> None:
    """A topic has grown, and its workers were not started again."""
    trace = Trace(partitions=2)
    trace.join("worker-1", owned=range(1))
    trace.look()
    trace.produce(3, 1)

    assert [OK, STOPPED] == trace.looks(4)


def test_partitions_that_were_added_are_judged_from_then_on() -> None:
    """What is known of the others stays: a standstill before the change counts."""
    trace = Trace()
    trace.produce(3)
    trace.looks(40)
    trace.grow(2)
    trace.produce(5, 1)

    assert 8 == trace.look().topics[0].lag_messages
    states = [[row.verdict.state for row in trace.look().topics[0].partitions] for _ in range(12)]
    assert [STALLED, OK] == states[-1]


def test_without_members_nothing_is_called_stopped() -> None:
    """The coordinator does not say who is there: then only time tells, and the state is STALLED."""
    trace = Trace()
    trace.look()
    trace.produce(3)
    trace.members = None

    assert {OK} == set(trace.looks(58))
    assert STALLED == trace.look().verdict.state
    assert trace.look().topics[0].partitions[0].owner is None


def test_while_the_broker_is_away_nothing_is_known_and_then_judgement_begins_again() -> None:
    """Workers could not commit meanwhile, so that is not held against them."""
    trace = Trace()
    trace.produce(5)
    seen = trace.look()
    away = [trace.look_in_vain() for _ in range(50)]
    assert {LagState.NO_DATA} == {lag.verdict.state for lag in away}
    assert {None} == {lag.topics[0].lag_messages for lag in away}
    assert {None} == {lag.topics[0].partitions[0].end for lag in away}
    assert NOW_MS + 2_000 == away[-1].verdict.since_ms
    assert seen.topics[0].lag_messages == 5

    assert {OK} == set(trace.looks(58))
    assert STALLED == trace.looks(4)[-1]


def test_a_monitor_that_was_started_again_judges_only_what_it_has_seen() -> None:
    """The first sample of a group that lags says nothing about whether it moves."""
    trace = Trace()
    trace.produce(50)
    trace.looks(70)
    trace.restart_monitor()

    assert {OK} == set(trace.looks(58))
    assert STALLED == trace.looks(8)[-1]


def test_a_monitor_that_hung_begins_again() -> None:
    trace = Trace()
    trace.look()
    trace.produce(500)
    trace.look(after_s=300.0)

    assert OK == trace.look().verdict.state


def test_what_retention_removed_unread_is_counted() -> None:
    """It stays RETENTION-RISK until the group commits beyond it, also beside a stop."""
    trace = Trace()
    trace.produce(100)
    trace.consume(20)
    trace.look()
    trace.logs[0].start = 50
    lag = trace.look()
    assert (LagState.RETENTION_RISK, 50) == (lag.verdict.state, lag.topics[0].lag_messages)
    assert "30 offsets were removed before they were handled" in lag.verdict.reason
    assert 1.0 == lag.topics[0].partitions[0].retention_used
    trace.stops = {(TOPIC, 0): StoredStop(reason="limit", since_ms=7)}
    assert LagState.RETENTION_RISK == trace.look().verdict.state

    trace.stops = {}
    trace.consume(1)
    assert OK == trace.look().verdict.state


def test_offsets_without_a_record_that_retention_removes_are_no_loss() -> None:
    """The commit of a drained group stays before the gap at the end of its log."""
    trace = Trace()
    trace.produce(4)
    trace.consume()
    trace.add_gap(3)
    trace.look()
    trace.logs[0].start = 7

    lag = trace.look()
    assert (OK, 0) == (lag.verdict.state, lag.topics[0].lag_messages)


@pytest.mark.parametrize(
    ("age_days", "state"), [(1.0, OK), (3.6, LagState.RETENTION_RISK), (5.3, LagState.RETENTION_RISK)]
)
def test_a_log_that_is_full_of_what_waits_is_a_risk_once_it_is_old(age_days: float, state: LagState) -> None:
    """A new topic is full of what waits with its first record, and in no danger."""
    trace = Trace()
    trace.produce(10, time_ms=NOW_MS - int(age_days * DAY_S * 1_000))
    trace.consume(1)

    lag = trace.look()
    assert state == lag.verdict.state
    assert ("(page)" in lag.verdict.reason) is (age_days > 5.25)


def test_a_storm_of_rebalances_is_named() -> None:
    """Workers join and leave every 2 s. One restart is none."""
    trace = Trace()
    trace.look()
    trace.produce(1_000)
    for number in range(2):
        trace.join(f"worker-{number + 2}")
        trace.consume(1)
        assert OK == trace.look().verdict.state
    states = []
    for number in range(10):
        trace.join(f"worker-{number % 2 + 1}")
        trace.consume(1)
        states.append(trace.look().verdict.state)
    assert LagState.REBALANCING == states[-1]
    assert STOPPED not in states

    trace.consume()
    assert OK == trace.look().verdict.state


def test_a_producer_with_a_wrong_clock_moves_the_seconds_alone() -> None:
    """A time ahead is 0 s and not less; a time of last year is no stop."""
    trace = Trace()
    trace.look()
    trace.produce(2, time_ms=NOW_MS + 3_600_000)
    ahead = trace.look()
    assert (OK, 0.0, 2) == (
        ahead.verdict.state,
        ahead.topics[0].lag_seconds,
        ahead.topics[0].lag_messages,
    )
    trace.consume()
    trace.produce(200, time_ms=NOW_MS - 86_400_000)
    behind = trace.look()

    assert OK == behind.verdict.state
    assert 86_406.0 == behind.topics[0].lag_seconds


def test_aborted_transactions_at_the_end_of_a_log_do_not_wait() -> None:
    """The commit stays below the end for ever, and the group is OK; a record behind them waits."""
    trace = Trace()
    trace.produce(3)
    trace.consume()
    trace.add_gap(4)
    lag = trace.look()
    assert (OK, 0, 0.0) == (lag.verdict.state, lag.topics[0].lag_messages, lag.topics[0].lag_seconds)
    trace.join()
    assert {OK} == set(trace.looks(200))

    trace.produce(1)
    assert [OK, STOPPED] == trace.looks(4)
    assert 1 == trace.look().topics[0].lag_messages


def test_before_a_log_was_read_its_end_may_be_a_gap() -> None:
    """So nothing is STOPPED at once, and its seconds are unknown. After a minute it is."""
    trace = Trace()
    trace.look()
    trace.produce(3)
    trace.logs[0].is_readable = False
    trace.join()

    assert {OK} == set(trace.looks(58))
    assert STOPPED == trace.looks(4)[-1]
    assert trace.look().topics[0].lag_seconds is None


def test_one_partition_far_above_the_others_is_hot_in_the_third_sample() -> None:
    trace = Trace(partitions=6)
    trace.produce(1_000)
    for number in range(1, 6):
        trace.produce(4, number)

    assert [OK, OK, LagState.HOT] == trace.looks(6)
    lag = trace.look()
    assert lag.verdict.reason.startswith("partition 0: 1,000 records wait here")
    assert 250.0 == lag.topics[0].skew


def test_offsets_that_were_moved_back_begin_another_story() -> None:
    """An operator has the group read again, and the rate is not negative."""
    trace = Trace()
    trace.produce(500)
    trace.consume()
    trace.looks(10)
    trace.logs[0].committed = 0
    lag = trace.look()
    trace.consume(100)
    after = trace.look()

    assert (OK, 500) == (lag.verdict.state, lag.topics[0].lag_messages)
    assert 50.0 == after.topics[0].consumed_per_s


def test_a_lane_is_as_bad_as_its_worst_partition_and_sums_and_maxima_differ() -> None:
    """The mean would hide one stuck partition."""
    trace = Trace(partitions=3)
    trace.produce(10, 0, time_ms=NOW_MS - 100_000)
    trace.produce(1, 1, time_ms=NOW_MS - 500)

    topic = trace.look().topics[0]
    assert (11, 102.0) == (topic.lag_messages, topic.lag_seconds)


def test_a_group_says_that_stops_are_unknown_while_cassandra_is_away() -> None:
    """The figures stay."""
    trace = Trace()
    trace.produce(3)
    assert "Cassandra" not in trace.look().verdict.reason
    trace.knows_stored = False

    lag = trace.look()
    for verdict in (lag.verdict, lag.topics[0].verdict):
        assert "3 records wait, and the group reads; stops are not known" in verdict.reason
    assert (OK, 3) == (lag.verdict.state, lag.topics[0].lag_messages)
