"""All facts that the pages show: the monitor's overview, and what this process itself knows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from api.ops.view import OpsView
from streams.core.lag.states import SEVERITY, LagState
from streams.settings import OverloadSettings

Json = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """`overview` is the monitor's JSON. `stores` says of each store of this process whether it responds, None
    if that is not known yet. `deferred` counts deferred posts by what is to be done with them."""

    now: datetime
    overview: Json
    stores: Mapping[str, bool | None]
    clock: str
    deferred: Mapping[str, int]
    limits: OverloadSettings

    @property
    def unknown(self) -> str | None:
        """Why nothing of now is known; None if the monitor responds."""
        return self.overview.get("unknown")

    def source_age_s(self, name: str) -> float | None:
        """Return how old the last reading of a source is; None if there is none, or it is not known."""
        return next(
            (source["age_s"] for source in self.overview["sources"] if source["source"] == name), None
        )

    @property
    def workers(self) -> Sequence[Json] | None:
        """What is known of each worker; None if that is not known, or the monitor is of another version."""
        return self.overview.get("workers")

    @property
    def knows_owners(self) -> bool:
        """Whether the owners of the partitions of any lane are known."""
        return any(lane["state"] != LagState.NO_DATA for lane in self.lanes(OpsView()))

    def lanes(self, view: OpsView) -> list[Json]:
        """Return each topic or lane with its group, the worst first, of one state those where most waits."""
        lanes = [
            {"group": group["group"], "name": _name(group, topic), **topic}
            for group in self.overview["lag"]["groups"]
            for topic in group["topics"]
            if view.includes(group["group"], topic["topic"], topic["lane"], topic["state"])
        ]
        return sorted(
            lanes, key=lambda lane: (-SEVERITY[LagState(lane["state"])], -(lane["lag_messages"] or 0))
        )

    def lane(self, group: str, topic: str) -> Json | None:
        """Return the lane; None if there is none of that name."""
        return next(
            (lane for lane in self.lanes(OpsView()) if (lane["group"], lane["topic"]) == (group, topic)), None
        )

    def past(self, group: str, topic: str) -> Json | None:
        """Return what the monitor remembers of the lane."""
        lanes: Sequence[Json] = self.overview["history"]["lanes"]
        return next((lane for lane in lanes if (lane["group"], lane["topic"]) == (group, topic)), None)

    def hottest_key(self, lane: Json, partition: int) -> Json | None:
        """Return the key that most of the next records of a partition have; None if there is none, or nobody
        has looked."""
        named = (lane["group"], lane["topic"], partition)
        found: Sequence[Json] = self.overview.get("hottest_keys", ())
        return next((key for key in found if (key["group"], key["topic"], key["partition"]) == named), None)

    def known_past(self, lane: Json) -> Json | None:
        """Return what the monitor remembers of the lane; None unless that reaches until now."""
        past = self.past(lane["group"], lane["topic"])
        is_known = past is not None and lane["lag_messages"] is not None and past["messages"][-1] is not None
        return past if is_known else None

    def age_s(self, time: str) -> float:
        """Return for how long it has been since an RFC 3339 time; 0 if it is ahead of this clock."""
        return max(0.0, (self.now - datetime.fromisoformat(time)).total_seconds())


def _name(group: Json, topic: Json) -> str:
    """Name the lane by its group, which has the topic's name; a group of several topics by both."""
    name: str = group["group"]
    return name if topic["lane"] or topic["topic"] == name else f"{name} {topic['topic']}"
