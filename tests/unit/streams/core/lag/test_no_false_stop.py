"""Whatever happens, a state that wakes somebody is never said of a group that is well."""

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from streams.core.lag.states import LagState
from tests.unit.streams.core.lag.traces import LOOK_S, Trace

ALARMS = {LagState.STOPPED, LagState.STALLED, LagState.POISON, LagState.RETENTION_RISK}
STILL_S = 20.0


@dataclass(frozen=True)
class Step:
    """What happens before a look: records, offsets without one, commits, members that come and go; and
    whether the broker is away, or the monitor was started again."""

    produced: int
    gap: int
    consumed: int
    members: str
    after_s: float
    away: bool
    restarted: bool


steps = st.lists(
    st.builds(
        Step,
        produced=st.integers(0, 300),
        gap=st.integers(0, 3),
        consumed=st.integers(0, 300),
        members=st.sampled_from(["one", "none", "rebalancing", "unknown", "other"]),
        after_s=st.sampled_from([LOOK_S, LOOK_S, LOOK_S, 5.0, 30.0]),
        away=st.booleans(),
        restarted=st.booleans(),
    ),
    max_size=80,
)


def take(trace: Trace, step: Step) -> None:
    trace.join("worker-1")
    match step.members:
        case "none":
            trace.join()
        case "rebalancing":
            trace.join("worker-1", is_rebalancing=True, owned=range(0))
        case "other":
            trace.join("worker-2")
        case "unknown":
            trace.members = None
    if step.restarted:
        trace.restart_monitor()


@given(steps)
def test_a_group_with_nothing_to_read_is_never_alarming(happened: list[Step]) -> None:
    """With any members: it reads all records before each look, and its log ends with gaps."""
    trace = Trace(still_s=STILL_S)
    for step in happened:
        trace.produce(step.produced)
        trace.consume()
        trace.add_gap(step.gap)
        take(trace, step)
        lag = trace.look_in_vain() if step.away else trace.look(step.after_s)
        assert lag.verdict.state in ((LagState.NO_DATA,) if step.away else (LagState.OK,))
        assert lag.topics[0].lag_messages in (0, None)


@given(steps)
def test_a_group_that_commits_is_never_alarming(happened: list[Step]) -> None:
    """However far behind it is, and with any owner: a commit between two looks is progress."""
    trace = Trace(still_s=STILL_S)
    trace.produce(100_000)
    for step in happened:
        trace.produce(step.produced)
        trace.consume(1 + step.consumed)
        take(trace, step)
        lag = trace.look_in_vain() if step.away else trace.look(step.after_s)
        assert lag.verdict.state not in ALARMS


@given(steps)
def test_stopped_and_stalled_are_said_only_of_what_was_seen_to_stand_still(
    happened: list[Step],
) -> None:
    """STOPPED: no owner and no commit since the sample before, at least. STALLED: none for `STILL_S` seconds
    in which samples were taken."""
    trace = Trace(still_s=STILL_S)
    seen: list[tuple[float, int, bool, bool]] = []
    for step in happened:
        trace.produce(step.produced)
        trace.consume(step.consumed // 200)
        take(trace, step)
        if step.restarted:
            seen.clear()
        if step.away:
            trace.look_in_vain()
            continue
        lag = trace.look(step.after_s)
        log = trace.logs[0]
        if seen and trace.now_s - seen[-1][0] > 10.0:
            seen.clear()
        waits = log.next_offset() < len(log.times_ms)
        is_unowned = trace.members is not None and not trace.members.owners
        seen.append((trace.now_s, log.committed or 0, waits, is_unowned))
        same = [at for at in seen if at[1] == seen[-1][1]]
        if lag.verdict.state is LagState.STOPPED:
            assert len(same) >= 2
            assert all(at[2] and at[3] for at in same[-2:])
        if lag.verdict.state is LagState.STALLED:
            assert seen[-1][0] - same[0][0] >= STILL_S
            assert waits


@given(
    st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50), st.integers(0, 4)), min_size=1, max_size=30),
    st.integers(1, 4),
)
def test_messages_are_what_the_log_holds_beyond_the_commit(
    happened: list[tuple[int, int, int]], partitions: int
) -> None:
    """Of all partitions together; seconds are those of the oldest record."""
    trace = Trace(partitions=partitions)
    for number, (produced, consumed, gap) in enumerate(happened):
        partition = number % partitions
        trace.produce(produced, partition)
        trace.consume(consumed, partition)
        trace.add_gap(gap, partition)
        topic = trace.look().topics[0]
        waiting = [log.times_ms[log.next_offset() :] for log in trace.logs]
        assert sum(map(len, waiting)) == topic.lag_messages
        oldest_ms = min(
            (times[0] for times in waiting if times and times[0] is not None), default=trace.now_ms
        )
        assert (trace.now_ms - oldest_ms) / 1_000 == topic.lag_seconds
