"""The lag monitor: samples every few seconds, judges, and reports; it never consumes nor commits.

Each source has a loop of its own, so one that is away delays no other. What a source said is used while it is
fresh; then its figures are unknown, and a group without a sample is NO-DATA.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from time import monotonic

from streams.clock import unix_ms
from streams.core.lag.history import LagHistory
from streams.core.lag.judge import GroupHistory
from streams.core.lag.rebalances import RebalanceLog
from streams.core.lag.report import Json, LagReport, SwitchLag, without_data
from streams.core.lag.samples import GroupLogs
from streams.core.overload.backlog import LaneBacklog
from streams.core.overload.switches import Switch
from streams.errors import StoreUnavailable
from streams.limited_log import LimitedLog
from streams.monitor.latest import Latest
from streams.monitor.sampling import Sampler
from streams.monitor.stored import Stored, read_stored
from streams.overload.watch import BacklogReader, sentence
from streams.polling import poll
from streams.ports.groups import CoordinationStores
from topics.catalogue import Lane

# Workers may have ended at a commit that has stood still for so long.
STUCK_AFTER_S = 10.0
log = LimitedLog(logging.getLogger(__name__))


@dataclass(slots=True, kw_only=True)
class LagMonitor:
    """Samples `groups` every `interval_s`; what is older than `stale_s` is not shown as known.

    `clock_s` is monotonic.
    """

    groups: Callable[[], Sequence[GroupLogs]]
    sampler: Sampler
    backlog: BacklogReader
    history: LagHistory
    rebalances: RebalanceLog
    interval_s: float
    stale_s: float
    unowned_s: float
    clock_ms: Callable[[], int] = unix_ms
    clock_s: Callable[[], float] = monotonic
    _histories: dict[str, GroupHistory] = field(default_factory=dict, init=False)
    _report: Latest[Json] = field(init=False)
    _last: Json | None = field(default=None, init=False)
    # Why the last sample of all groups failed; empty if it did not.
    _failure: str = field(default="", init=False)
    _stored: Latest[Stored] = field(init=False)
    _lanes: Latest[Mapping[Lane, LaneBacklog]] = field(init=False)

    def __post_init__(self) -> None:
        self._report = Latest(self.stale_s, self.clock_s)
        self._stored = Latest(self.stale_s, self.clock_s)
        self._lanes = Latest(self.stale_s, self.clock_s)

    def report(self) -> Json | None:
        """Return the last report; NO-DATA if a sample failed or is late, None if there never was one."""
        if self._last is None:
            return None
        reason = self._failure or f"the monitor has had no sample for {self._report.age_s():,.0f} s"
        fresh = None if self._failure else self._report.get()
        return fresh or without_data(self._last, reason)

    def ages_s(self) -> dict[str, float]:
        """Return how old the last values of each source are; infinite if there are none."""
        return {
            "kafka": self._report.age_s(),
            "cassandra": self._stored.age_s(),
            "fanout": self._lanes.age_s(),
        }

    async def run(self) -> None:
        """Sample until cancelled."""
        while True:
            began_s = self.clock_s()
            await self.refresh()
            await asyncio.sleep(max(0.0, self.interval_s - (self.clock_s() - began_s)))

    async def refresh(self) -> None:
        """Take a sample of all groups and judge it; without one, the last report is shown as NO-DATA."""
        groups = self.groups()
        began_s = self.clock_s()
        samples = await self.sampler.sample(groups)
        now_s, now_ms = self.clock_s(), self.clock_ms()
        stored, lanes = self._stored.get(), self._lanes.get()
        backlog = {lane: waiting.deliveries for lane, waiting in (lanes or {}).items()}
        verdicts = []
        for group in groups:
            history = self._history(group)
            sample = samples[group.group]
            if isinstance(sample, StoreUnavailable):
                log.warning(sample.operation, "no sample of %s: %s", group.group, sample)
                verdicts.append(history.no_data(now_ms, "the brokers do not respond"))
            else:
                facts = None if stored is None else stored.facts.get(group.group)
                verdicts.append(history.judge(sample, facts, backlog, now_s))
                if sample.members is not None:
                    self.rebalances.observe(group.group, sample.members, now_ms)
        self.history.add(now_ms, verdicts)
        if all(isinstance(sample, StoreUnavailable) for sample in samples.values()):
            self._failure = verdicts[0].verdict.reason
            return
        breaker, shedding = _switches(stored, lanes)
        report = LagReport(sampled_ms=now_ms, groups=verdicts, breaker=breaker, shedding=shedding)
        self._last, self._failure = report.json(), ""
        self._report.set(self._last, began_s)

    async def watch_backlog(self) -> None:
        """Follow the log of `fanout`; runs until cancelled."""

        async def refresh() -> None:
            began_s = self.clock_s()
            self._lanes.set(await self.backlog.read(), began_s)

        await poll(
            refresh, self.interval_s, log=logging.getLogger(__name__), failure="the backlog is not known"
        )

    async def watch_stored(self, stores: CoordinationStores) -> None:
        """Read what is stored; runs until cancelled."""

        async def refresh() -> None:
            began_s = self.clock_s()
            still = {name: history.still(STUCK_AFTER_S) for name, history in self._histories.items()}
            self._stored.set(await read_stored(stores, self.groups(), still), began_s)

        await poll(refresh, self.interval_s, log=logging.getLogger(__name__), failure="stops are not known")

    def _history(self, group: GroupLogs) -> GroupHistory:
        history = self._histories.get(group.group)
        if history is None:
            history = GroupHistory(group, unowned_s=self.unowned_s, pause_s=self.stale_s)
            self._histories[group.group] = history
        elif history.group != group:
            history.grow(group)
        return history


def _switches(stored: Stored | None, lanes: Mapping[Lane, LaneBacklog] | None) -> tuple[SwitchLag, SwitchLag]:
    """Return the breaker and shedding, as far as they are known."""
    measured = {
        Switch.BREAKER: None if lanes is None else sum(lane.deliveries for lane in lanes.values()),
        Switch.SHEDDING: None if lanes is None else sum(lane.records for lane in lanes.values()),
    }
    shown = {}
    for switch in Switch:
        state = None if stored is None else stored.switches[switch]
        moved = state is not None and state.version > 0
        shown[switch] = SwitchLag(
            is_on=None if state is None else state.is_on,
            since_ms=state.since_ms if state is not None and moved else None,
            reason=sentence(state) if state is not None and moved else None,
            measured=measured[switch],
        )
    return shown[Switch.BREAKER], shown[Switch.SHEDDING]
