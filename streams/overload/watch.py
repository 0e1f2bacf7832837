"""How much there is to do, known to every worker; and the switches that it moves.

Each worker measures for itself, and the stored state of a switch changes by compare-and-set, so all workers
agree on it. A move is announced on the topic `operations` before the next one: by who made it, or by another
worker if that one died.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from time import monotonic
from typing import Protocol

from streams.clock import unix_ms
from streams.core.delivery import NO_OVERLOAD, Overload
from streams.core.overload.backlog import LaneBacklog
from streams.core.overload.switches import Switch, SwitchLimits, SwitchState, moved
from streams.metrics import BACKLOG_DELIVERIES, BACKLOG_RECORDS, DEFERRED_POSTS, SWITCH
from streams.overload.known_posts import KnownDeferredPosts
from streams.polling import poll
from streams.ports.coordination import Switches
from streams.settings import OverloadSettings
from topics.catalogue import Lane

REFRESH_S = 0.5
log = logging.getLogger(__name__)

# Publishes a move; returns when it is acknowledged.
Announce = Callable[[SwitchState], Awaitable[None]]


class BacklogReader(Protocol):
    """Reads what is not committed of `fanout`; `fanout_backlog.FanoutBacklog` implements it."""

    @property
    def committed(self) -> Mapping[int, int]:
        """The offset of the next record to apply by partition, as of the last read."""

    async def read(self) -> Mapping[Lane, LaneBacklog]:
        """Return what waits in each lane now; raises StoreUnavailable."""


@dataclass(slots=True)
class OverloadWatch:
    """The backlog and the switches, about `REFRESH_S` old. `clock_s` is monotonic."""

    settings: OverloadSettings
    backlog: BacklogReader
    known: KnownDeferredPosts
    switches: Switches
    announce: Announce
    clock_ms: Callable[[], int] = unix_ms
    clock_s: Callable[[], float] = monotonic
    # When the last refresh that succeeded began, and what it found in the lanes.
    refreshed_s: float = field(default=float("-inf"), init=False)
    lanes: Mapping[Lane, LaneBacklog] = field(default_factory=dict, init=False)
    _now: Overload = field(default=NO_OVERLOAD, init=False)

    def now(self) -> Overload:
        """Return how much there was to do at the last refresh."""
        return self._now

    def is_postponing(self) -> bool:
        """Whether posts that were postponed must still wait."""
        return self._now.is_breaker_open or self._now.is_shedding

    async def refresh(self) -> None:
        """Measure, move the switches that must move, and announce what is not announced.

        Raises:
            StoreUnavailable: A store did not respond; what is known grows older.
        """
        began_s = self.clock_s()
        lanes = await self.backlog.read()
        await self.known.refresh()
        states = dict(await self.switches.states())
        for switch, (measured, limits) in self._measured(lanes).items():
            next_state = moved(states[switch], measured, limits, self.clock_ms())
            if next_state is not None and await self.switches.move(next_state):
                log.warning("%s", sentence(next_state))
                states[switch] = next_state
        # What is known is used before it is announced, which Kafka may refuse.
        self._use(lanes, states)
        self.lanes, self.refreshed_s = lanes, began_s
        for state in states.values():
            if not state.is_announced:
                await self.announce(state)
                await self.switches.announced(state)

    async def run(self) -> None:
        """Refresh every `REFRESH_S` seconds; runs until cancelled."""
        await poll(self.refresh, REFRESH_S, log=log, failure="how much there is to do is not known")

    def _measured(self, lanes: Mapping[Lane, LaneBacklog]) -> Mapping[Switch, tuple[int, SwitchLimits]]:
        settings = self.settings
        deliveries = sum(lane.deliveries for lane in lanes.values()) + self.known.slow_deliveries
        return {
            Switch.BREAKER: (
                deliveries,
                SwitchLimits(settings.breaker_open_deliveries, settings.breaker_close_deliveries),
            ),
            Switch.SHEDDING: (
                sum(lane.records for lane in lanes.values()),
                SwitchLimits(settings.shed_lag_records, settings.shed_end_lag_records),
            ),
        }

    def _use(self, lanes: Mapping[Lane, LaneBacklog], states: Mapping[Switch, SwitchState]) -> None:
        now_ms = self.clock_ms()
        self._now = Overload(
            is_breaker_open=states[Switch.BREAKER].is_on,
            is_shedding=states[Switch.SHEDDING].is_on,
            oldest_s={
                partition: 0.0 if oldest_ms is None else max(0, now_ms - oldest_ms) / 1_000
                for partition, oldest_ms in lanes[Lane.NORMAL].oldest_ms.items()
            },
        )
        for switch, state in states.items():
            SWITCH.labels(switch.value).set(state.is_on)
        for lane, backlog in lanes.items():
            BACKLOG_DELIVERIES.labels(lane.value).set(backlog.deliveries)
            BACKLOG_RECORDS.labels(lane.value).set(backlog.records)
        for kind, posts in (
            ("due", self.known.due),
            ("postponed", self.known.postponed),
            ("sent", self.known.sent),
        ):
            DEFERRED_POSTS.labels(kind).set(len(posts))


def sentence(state: SwitchState) -> str:
    """Say what moved and why."""
    match state.switch, state.is_on:
        case Switch.BREAKER, True:
            return f"the breaker opens: {state.measured:,} deliveries wait, so all posts are deferred"
        case Switch.BREAKER, False:
            return f"the breaker closes: {state.measured:,} deliveries wait"
        case _, True:
            return f"shedding begins: {state.measured:,} records wait, so posts of small authors are deferred"
        case _, False:
            return f"shedding ends: {state.measured:,} records wait"
