"""The states of a partition, a lane or a group; docs/operations.md defines them."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum


class LagState(StrEnum):
    """Worst first."""

    RETENTION_RISK = "RETENTION-RISK"
    STOPPED = "STOPPED"
    POISON = "POISON"
    STALLED = "STALLED"
    PAUSED = "PAUSED"
    NO_DATA = "NO-DATA"
    REBALANCING = "REBALANCING"
    SLOW = "SLOW"
    HOT = "HOT"
    OK = "OK"


# What to do, step by step, by state; a state that needs nothing has no page.
RUNBOOKS = {
    LagState.RETENTION_RISK: "docs/runbooks/retention-risk.md",
    LagState.STOPPED: "docs/runbooks/consumer-stopped.md",
    LagState.POISON: "docs/runbooks/consumer-poison.md",
    LagState.STALLED: "docs/runbooks/consumer-stalled.md",
    LagState.PAUSED: "docs/runbooks/consumer-paused.md",
    LagState.NO_DATA: "docs/runbooks/monitor-stale.md",
    LagState.REBALANCING: "docs/runbooks/consumer-rebalancing.md",
    LagState.SLOW: "docs/runbooks/consumer-slow.md",
    LagState.HOT: "docs/runbooks/consumer-hot.md",
}
SEVERITY = {state: number for number, state in enumerate(reversed(LagState))}


@dataclass(frozen=True, slots=True)
class Verdict:
    """A state, since when it holds, and one sentence that says why."""

    state: LagState
    since_ms: int
    reason: str

    def after(self, former: "Verdict | None") -> "Verdict":
        """Return this verdict, with the former one's time if the state is the same."""
        if former is None or former.state is not self.state:
            return self
        return replace(self, since_ms=former.since_ms)


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """Return the verdict of the worst state: of several the oldest, but of OK the newest.

    All together are OK only since the last of them is.
    """
    found = list(verdicts)
    is_ok = all(verdict.state is LagState.OK for verdict in found)
    return max(
        found, key=lambda verdict: (SEVERITY[verdict.state], verdict.since_ms if is_ok else -verdict.since_ms)
    )
