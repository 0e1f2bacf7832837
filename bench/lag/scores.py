"""How right the monitor was in a recorded scenario, and how right others would have been."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import isnan
from statistics import quantiles

from bench.lag.group import VERDICT_S_MAX
from bench.lag.rivals import BurrowCommit, BurrowStatus, LookupTable, burrow_status, kminion_lag
from bench.lag.trace import Look, PartitionTrace, Trace, Truth
from streams.core.lag.states import LagState

OK = LagState.OK
# Burrow has two errors for a group that does not get on, and none for the reasons.
BURROW_ERRORS = frozenset({BurrowStatus.STOP, BurrowStatus.STALL, BurrowStatus.REWIND})


@dataclass(frozen=True, slots=True)
class Errors:
    """The figures of one monitor against the truth; `unknown` counts those that it did not have."""

    messages_max: float
    seconds_p99: float | None
    unknown: int


@dataclass(frozen=True, slots=True)
class Verdicts:
    """The states that one monitor said, against the truths.

    `took_s` is how long the slowest state took that is not OK, None if one was never said. `wrong` are the
    looks later than the limit after the truth that said something else, and `false_alarms` those at
    which it said that the group does not get on although it did.
    """

    took_s: float | None
    wrong: Sequence[str]
    false_alarms: int


@dataclass(frozen=True, slots=True)
class Score:
    """One scenario: its last truth that is not OK, and what each monitor made of it.

    kminion has no verdict and no seconds, lag exporter no verdict.
    """

    truth: LagState
    ours: Verdicts
    our_errors: Errors
    burrow: Verdicts
    burrow_said: str
    kminion_errors: Errors
    exporter_errors: Errors


def score_of(trace: Trace, verdict_s_max: float = VERDICT_S_MAX) -> Score:
    """Return the score of a scenario that has ended; verdicts may take `verdict_s_max`."""
    states = {look.began_ms: look.state.value for look in trace.looks}
    burrow = {look.began_ms: _burrow(trace, look).value for look in trace.looks}
    truths = [truth for truth in trace.truths if truth.state is not OK] or trace.truths
    last = [burrow[look.began_ms] for look in trace.looks if trace.truth_at(look.began_ms) == truths[-1]]
    return Score(
        truth=truths[-1].state,
        ours=_verdicts(
            trace, states, lambda truth: {truth.state.value}, {LagState.STOPPED.value}, verdict_s_max
        ),
        our_errors=_our_errors(trace),
        burrow=_verdicts(
            trace, burrow, _burrow_may_say, {error.value for error in BURROW_ERRORS}, verdict_s_max
        ),
        burrow_said=last[-1] if last else "",
        kminion_errors=_kminion_errors(trace),
        exporter_errors=_exporter_errors(trace),
    )


def _verdicts(
    trace: Trace,
    said: Mapping[float, str],
    right: Callable[[Truth], set[str]],
    alarms: set[str],
    verdict_s_max: float,
) -> Verdicts:
    took: list[float | None] = []
    wrong: list[str] = []
    false_alarms = 0
    ends = [truth.since_ms for truth in trace.truths[1:]] + [float("inf")]
    for truth, ends_ms in zip(trace.truths, ends, strict=True):
        during = [look for look in trace.looks if truth.since_ms <= look.began_ms < ends_ms]
        first = next((look for look in during if said[look.began_ms] in right(truth)), None)
        if truth.state is not OK:
            took.append(None if first is None else (first.began_ms - truth.since_ms) / 1_000)
        for look in during:
            state, after_s = said[look.began_ms], (look.began_ms - truth.since_ms) / 1_000
            if after_s > verdict_s_max and state not in right(truth):
                wrong.append(f"{state} {after_s:.1f} s after {truth.state.value}: {look.reason}")
            former = trace.truth_at(truth.since_ms - 1)
            is_late = after_s > verdict_s_max
            if state in alarms - right(truth) and (is_late or state not in right(former)):
                false_alarms += 1
    slowest = None if None in took else max((s for s in took if s is not None), default=0.0)
    return Verdicts(slowest, wrong, false_alarms)


def _burrow_may_say(truth: Truth) -> set[str]:
    match truth.state:
        case LagState.OK | LagState.NO_DATA:
            return {"OK", "WARN"} if truth.state is OK else set()
        case LagState.REBALANCING | LagState.SLOW:
            return {"WARN"}
        case _:
            return {error.value for error in BURROW_ERRORS}


def _burrow(trace: Trace, look: Look) -> BurrowStatus:
    """The worst state of the partitions, by the commits until the look and the ends of the looks before."""
    worst = BurrowStatus.OK
    for number, partition in enumerate(trace.partitions):
        ends = [
            (each.began_ms, each.partitions[number].end)
            for each in trace.looks
            if each.began_ms <= look.began_ms and each.partitions[number].end is not None
        ]
        commits = []
        for commit in sorted(partition.commits, key=lambda commit: commit.acked_ms):
            known = [end for at_ms, end in ends if end is not None and at_ms <= commit.acked_ms]
            if commit.acked_ms <= look.began_ms and known:
                lag = max(0, known[-1] - commit.offset)
                commits.append(BurrowCommit(commit.acked_ms, commit.offset, lag))
        if not commits or not ends or ends[-1][1] is None:
            continue
        status = burrow_status(commits, max(0, ends[-1][1] - commits[-1].offset), look.began_ms)
        worst = max(worst, status, key=list(BurrowStatus).index)
    return worst


def _our_errors(trace: Trace) -> Errors:
    messages: list[float] = []
    seconds: list[float] = []
    unknown = 0
    for look in trace.looks:
        for partition, figures in zip(trace.partitions, look.partitions, strict=True):
            if figures.messages is None:
                unknown += 1
                continue
            messages.append(partition.messages(look).error(figures.messages))
            if figures.seconds is None:
                unknown += 1
            else:
                seconds.append(partition.seconds(look).error(figures.seconds))
    return Errors(max(messages, default=0.0), p99(seconds), unknown)


def _kminion_errors(trace: Trace) -> Errors:
    messages, unknown = _lags(trace)
    return Errors(max(messages, default=0.0), None, unknown)


def _exporter_errors(trace: Trace) -> Errors:
    messages, _ = _lags(trace)
    tables = [LookupTable() for _ in trace.partitions]
    seconds: list[float] = []
    unknown = 0
    for look in trace.looks:
        for partition, figures, table in zip(trace.partitions, look.partitions, tables, strict=True):
            if figures.end is None:
                continue
            table.add(figures.end, look.began_ms)
            estimate = table.lag_seconds(figures.committed, look.began_ms)
            if isnan(estimate):
                unknown += 1
            else:
                seconds.append(partition.seconds(look).error(estimate))
    return Errors(max(messages, default=0.0), p99(seconds), unknown)


def _lags(trace: Trace) -> tuple[list[float], int]:
    """The errors of end less commit, which kminion and lag exporter both export; and how many are missing."""
    errors: list[float] = []
    unknown = 0
    for look in trace.looks:
        for partition, figures in zip(trace.partitions, look.partitions, strict=True):
            if figures.end is None:
                continue
            lag = kminion_lag(figures.committed, figures.end)
            if lag is None:
                unknown += _waits(partition, look)
            else:
                errors.append(partition.messages(look).error(lag))
    return errors, unknown


def _waits(partition: PartitionTrace, look: Look) -> bool:
    return partition.messages(look).low > 0


def p99(values: Sequence[float]) -> float | None:
    """Return the 99th percentile; None of nothing."""
    if len(values) < 2:
        return values[0] if values else None
    return quantiles(values, n=100, method="inclusive")[98]
