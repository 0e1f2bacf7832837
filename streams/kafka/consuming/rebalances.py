"""How often a consumer of this process went through a rebalance, and for how long it read nothing."""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from time import monotonic

from streams.metrics import REBALANCE_SECONDS, REBALANCES


class RebalanceReason(StrEnum):
    """Why a consumer had to join its group, as far as it can know."""

    START = "start"  # It has been started.
    MEMBERS = "members"  # Others came or went, partitions were added, or the group no longer knew it.


@dataclass(slots=True)
class Rebalances:
    """Counts those of one consumer of `group`. `clock_s` is monotonic."""

    group: str
    clock_s: Callable[[], float] = monotonic
    _reason: RebalanceReason = field(default=RebalanceReason.START, init=False)
    _began_s: float | None = field(default=None, init=False)

    def began(self) -> None:
        """Call when the partitions are revoked. A try to join that is repeated belongs to the same one."""
        if self._began_s is None:
            self._began_s = self.clock_s()

    def ended(self) -> None:
        """Call when partitions are assigned, also if they are none."""
        if self._began_s is None:
            return
        REBALANCES.labels(self.group, self._reason.value).inc()
        REBALANCE_SECONDS.labels(self.group).observe(self.clock_s() - self._began_s)
        self._began_s = None
        self._reason = RebalanceReason.MEMBERS
