"""How a recorded scenario is judged: what is right, late, wrong, and a false alarm."""

from bench.lag.scores import Score, score_of
from bench.lag.trace import Figures, Look, Moved, PartitionTrace, Produced, Trace, Truth
from streams.core.lag.states import LagState

OK, STOPPED = LagState.OK, LagState.STOPPED


def look(at_s: float, state: LagState, messages: float | None = 0, seconds: float | None = 0.0) -> Look:
    at_ms = at_s * 1_000
    figures = Figures(state, 10, 10, messages, seconds)
    return Look(at_ms, at_ms + 10, state, "", [figures])


def scored(truths: list[Truth], looks: list[Look], partition: PartitionTrace | None = None) -> Score:
    return score_of(Trace([partition or PartitionTrace()], truths, looks))


def test_a_state_that_is_said_in_time_took_as_long_as_the_first_look_that_said_it() -> None:
    score = scored(
        [Truth(0, OK), Truth(10_000, STOPPED)],
        [look(8, OK), look(12, OK), look(14, STOPPED), look(22, STOPPED)],
    )

    assert (STOPPED, 4.0, [], 0) == (
        score.truth,
        score.ours.took_s,
        score.ours.wrong,
        score.ours.false_alarms,
    )


def test_a_look_that_is_wrong_too_late_is_counted_and_a_state_never_said_took_forever() -> None:
    score = scored([Truth(0, OK), Truth(10_000, STOPPED)], [look(8, OK), look(20, OK), look(21, OK)])

    assert score.ours.took_s is None
    assert [f"OK 11.0 s after STOPPED: {''}"] == score.ours.wrong


def test_stopped_said_of_a_group_that_was_never_stopped_is_a_false_alarm_at_once() -> None:
    """After it was stopped, the monitor may still say so for ten seconds."""
    never = scored([Truth(0, OK)], [look(2, OK), look(4, STOPPED)])
    after = scored(
        [Truth(0, STOPPED), Truth(10_000, OK)], [look(2, STOPPED), look(12, STOPPED), look(22, STOPPED)]
    )

    assert 1 == never.ours.false_alarms
    assert 1 == after.ours.false_alarms
    assert 1 == len(after.ours.wrong)


def test_figures_are_compared_with_what_was_true_at_some_moment_of_the_look() -> None:
    """Of ten records of the time 0, five are committed before the look, two more during it."""
    partition = PartitionTrace(
        records=[Produced(0, 0, 1, offset) for offset in range(10)],
        commits=[Moved(5, 500, 600), Moved(7, 1_005, 1_100)],
    )
    looks = [look(1, OK, messages, seconds) for messages, seconds in ((5, 1.0), (3, 1.01), (6, 3.0), (1, 0))]
    errors = [scored([Truth(0, OK)], [one], partition).our_errors for one in looks]

    assert [0, 0, 1, 2] == [error.messages_max for error in errors]
    assert [0, 0, 1.99, 1.0] == [round(error.seconds_p99 or 0, 2) for error in errors]


def test_the_seconds_may_be_those_of_any_record_that_was_the_next_one_during_the_look() -> None:
    """The look at 1 s takes 10 ms; meanwhile the commit moves from the record of 0.5 s to that of 0.7 s."""
    partition = PartitionTrace(
        records=[Produced(100 * offset, 0, 1, offset) for offset in range(10)],
        commits=[Moved(5, 500, 600), Moved(7, 1_005, 1_100)],
    )
    looks = [look(1, OK, 3, seconds) for seconds in (0.51, 0.4, 0.3, 0.2, 0.6)]
    errors = [scored([Truth(0, OK)], [one], partition).our_errors.seconds_p99 or 0 for one in looks]

    assert [0, 0, 0, 0.1, 0.09] == [round(error, 2) for error in errors]


def test_a_removed_record_no_longer_waits() -> None:
    partition = PartitionTrace(
        records=[Produced(0, 0, 1, offset) for offset in range(10)],
        commits=[Moved(5, 500, 600)],
        removals=[Moved(8, 700, 800)],
    )

    assert 0 == scored([Truth(0, OK)], [look(1, OK, 2, 1.0)], partition).our_errors.messages_max
    assert 3 == scored([Truth(0, OK)], [look(1, OK, 5, 1.0)], partition).our_errors.messages_max


def test_unknown_figures_are_counted_and_are_no_error() -> None:
    score = scored([Truth(0, OK)], [look(1, OK, None, None), look(2, OK, 0, None)])

    assert (2, None) == (score.our_errors.unknown, score.our_errors.seconds_p99)
