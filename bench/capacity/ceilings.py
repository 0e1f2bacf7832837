"""What more servers do not raise: partitions, the rate of rebuilds, the size of a Redis Cluster.

A partition has one consumer, so a lane cannot use more workers than it has partitions.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from bench.capacity.bill import REDIS, Bill, cores_of_worker
from bench.capacity.coefficients import Coefficients
from bench.capacity.demand import fanout_records, worker_cores
from bench.capacity.load import Assumptions, Load
from streams.roles import LANES, RENDITION_LANES, Role
from streams.settings import TimelineSettings
from topics.catalogue import EDGES, FANOUT, OUTSIDE, RENDITIONS, Lane, Topic
from topics.sizes import SIZES, Profile

# The specification of Redis Cluster: "high performance and linear scalability up to 1000 nodes".
REDIS_NODES_MAX = 1_000


@dataclass(frozen=True, slots=True)
class LaneNeed:
    """How many partitions a topic, or a lane of it, needs at the peak; not rounded."""

    topic: Topic
    lane: Lane | None
    need: float

    @property
    def name(self) -> str:
        return f"{self.topic.name} {self.lane}" if self.lane else self.topic.name

    @property
    def partitions(self) -> int:
        return max(1, math.ceil(self.need))

    def of_profile(self, profile: Profile) -> int:
        return len(SIZES[profile].range_of(self.topic, self.lane))


@dataclass(frozen=True, slots=True)
class Ceiling:
    """A bound that a setting or a design has, and what the load asks for."""

    name: str
    need: float
    bound: float

    @property
    def is_exceeded(self) -> bool:
        return self.need > self.bound


def lane_needs(load: Load, assumed: Assumptions, coefficients: Coefficients) -> tuple[LaneNeed, ...]:
    """Return what each topic and lane needs, so that none of its consumers uses more than `utilisation`."""
    cores = worker_cores(load, assumed, coefficients)

    def for_cpu(role: Role) -> float:
        return cores.roles[role] / (assumed.utilisation * cores_of_worker(role))

    # A partition of `fanout` waits for Redis longer than it computes. Bulk may be busy all the time.
    waiting = fanout_records(load, assumed) * assumed.fanout_record_s
    for_waiting = {
        Role.NORMAL: waiting * (1 - assumed.bulk_share) / assumed.lane_busy,
        Role.BULK: waiting * assumed.bulk_share / assumed.utilisation,
    }
    return (
        *(LaneNeed(topic, None, used / assumed.utilisation) for topic, used in cores.checking.items()),
        LaneNeed(EDGES, None, for_cpu(Role.EDGES)),
        *(LaneNeed(FANOUT, lane, max(for_cpu(role), for_waiting[role])) for role, lane in LANES.items()),
        *(LaneNeed(RENDITIONS, lane, for_cpu(role)) for role, lane in RENDITION_LANES.items()),
    )


def fitting_profile(needs: tuple[LaneNeed, ...]) -> Profile | None:
    """Return the smallest profile of which every lane suffices; None if the largest does not.

    Upstream topics do not count, because they may have more partitions than the profile.
    """
    for profile in Profile:
        if not any(too_small(needs, profile)):
            return profile
    return None


def too_small(needs: tuple[LaneNeed, ...], profile: Profile) -> Iterator[LaneNeed]:
    """Yield the lanes of the pipeline's own topics for which the profile has too few partitions."""
    yield from (lane for lane in _exceeding(needs, profile) if lane.topic not in OUTSIDE)


def to_grow(needs: tuple[LaneNeed, ...], profile: Profile) -> Mapping[str, int]:
    """Return the upstream topics that need more partitions than the profile has, and how many."""
    return {lane.name: lane.partitions for lane in _exceeding(needs, profile) if lane.topic in OUTSIDE}


def _exceeding(needs: tuple[LaneNeed, ...], profile: Profile) -> Iterator[LaneNeed]:
    yield from (lane for lane in needs if lane.partitions > lane.of_profile(profile))


def ceilings(bill: Bill, assumed: Assumptions) -> tuple[Ceiling, ...]:
    """Return the bounds beside partitions."""
    redis = next(component for component in bill.components if component.name == REDIS)
    rebuilds_max = int(TimelineSettings.model_fields["rebuilds_per_s_max"].default)
    return (
        Ceiling("rebuilds a second (rebuilds_per_s_max)", bill.load.reads * assumed.cold_pages, rebuilds_max),
        Ceiling("nodes of a Redis Cluster", redis.count * (1 + assumed.redis_replicas), REDIS_NODES_MAX),
    )
