"""How photos of tests are delivered, and what there is to do meanwhile."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from streams.core.delivery import (
    NO_OVERLOAD,
    Delivery,
    DeliveryLimits,
    DeliveryReason,
    DeliveryRules,
    Mode,
    Overload,
)
from streams.core.overload.backlog import LaneBacklog
from streams.core.overload.switches import SwitchState
from streams.errors import StoreUnavailable
from streams.overload.known_posts import KnownDeferredPosts
from streams.overload.watch import BacklogReader, OverloadWatch
from streams.ports.groups import Stores
from streams.settings import OverloadSettings
from topics.catalogue import Lane

PUSHED = Delivery(
    mode=Mode.PUSH, lane=Lane.NORMAL, reason=DeliveryReason.FEW_FOLLOWERS, mode_by_size=Mode.PUSH
)


def rules_of(limits: DeliveryLimits, overload: Overload = NO_OVERLOAD) -> DeliveryRules:
    """Rules for a pipeline that has so much to do at every moment."""
    return DeliveryRules(limits, lambda: overload)


@dataclass(slots=True)
class FakeBacklog(BacklogReader):
    """What a test says of the lanes and the commits."""

    lanes: dict[Lane, LaneBacklog] = field(
        default_factory=lambda: {Lane.NORMAL: LaneBacklog(), Lane.BULK: LaneBacklog()}
    )
    commits: dict[int, int] = field(default_factory=dict)
    is_down: bool = False

    @property
    def committed(self) -> Mapping[int, int]:
        return self.commits

    async def read(self) -> Mapping[Lane, LaneBacklog]:
        if self.is_down:
            raise StoreUnavailable("kafka", "backlog", "down")
        return dict(self.lanes)


@dataclass(slots=True)
class OverloadWorld:
    """One worker's view of the backlog and the switches; `announced` are the moves on `operations`."""

    settings: OverloadSettings
    stores: Stores
    now_ms: int = 1_800_000_000_000
    backlog: FakeBacklog = field(default_factory=FakeBacklog)
    announced: list[SwitchState] = field(default_factory=list)
    watch: OverloadWatch = field(init=False)

    def __post_init__(self) -> None:
        self.watch = self.worker()

    def worker(self) -> OverloadWatch:
        """Return the watch of another worker that starts now, over the same stores and logs."""
        return OverloadWatch(
            self.settings,
            self.backlog,
            KnownDeferredPosts(self.stores.deferred, 1_000_000, lambda: self.now_ms),
            self.stores.switches,
            self._announce,
            clock_ms=lambda: self.now_ms,
            clock_s=lambda: self.now_ms / 1_000,
        )

    async def _announce(self, state: SwitchState) -> None:
        self.announced.append(state)
