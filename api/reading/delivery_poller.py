"""Whether the timelines have what was delivered to them, as this process knows it, about a second old."""

import logging
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from time import monotonic
from typing import Protocol

from streams.core.delivery_age import DeliveryAge
from streams.polling import poll
from streams.ports.timelines import Timelines

log = logging.getLogger(__name__)

POLL_S = 1.0
# A complete page has all photos that became ready more than 5 s ago. If something older is not applied
# yet, or nobody knows, a page does not claim to be complete.
AGE_S_MAX = 5.0


class LogEnds(Protocol):
    """Where logs end; `offsets.Offsets` implements it."""

    async def ends(self, partitions: Collection[tuple[str, int]]) -> Mapping[tuple[str, int], int]: ...


@dataclass(slots=True)
class DeliveryPoller:
    """Asks Kafka and Redis every `POLL_S` seconds how far `fanout` has been applied.

    `topic` is its name on the broker. `clock_s` is monotonic. No request asks anything for it.
    """

    ends: LogEnds
    timelines: Timelines
    topic: str
    partitions: int
    clock_s: Callable[[], float] = monotonic
    _age: DeliveryAge = field(default_factory=DeliveryAge, init=False)

    def is_current(self) -> bool:
        """Whether everything that was published more than 5 s ago is in the timelines."""
        applied_s = self._age.applied_s
        return applied_s is not None and self.clock_s() - applied_s <= AGE_S_MAX

    async def refresh(self) -> None:
        """Ask once.

        Raises:
            StoreUnavailable: Kafka or Redis did not respond; the last answer grows older.
        """
        now_s = self.clock_s()
        ends = await self.ends.ends([(self.topic, partition) for partition in range(self.partitions)])
        # The checkpoints are read after the ends, so a record that is published and applied in between
        # does not look as if it waited.
        checkpoints = await self.timelines.checkpoints(range(self.partitions))
        self._age.observe(now_s, {partition: end for (_, partition), end in ends.items()}, checkpoints)

    async def run(self) -> None:
        """Refresh every `POLL_S` seconds; runs until cancelled."""
        await poll(self.refresh, POLL_S, log=log, failure="how far deliveries are applied is not known")
