"""The load of a system at its peak, and what is assumed because no bench can measure it."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from types import MappingProxyType
from typing import Self

from bench.capacity.coefficients import CapacityError

DAY_S = 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """Users of a day, follow edges, and at the peak what happens a second."""

    users: float
    uploads: float
    likes: float
    follows: float
    reads: float
    edges: float

    def of_users(self, users: float) -> Self:
        """Return the load of another number of users, each of whom does as much as before."""
        factor = users / self.users
        return replace(self, **{name.name: getattr(self, name.name) * factor for name in fields(self)})


# The target system. Follows are a tenth of the likes, as in decision 65.
TARGET = Load(users=500e6, uploads=2_315, likes=146_000, follows=14_600, reads=350_000, edges=100e9)


def load_of(given: Mapping[str, float]) -> Load:
    """Return the load with the given figures; the others are those of the target system for as many users.

    Raises:
        CapacityError: A figure is not a number above 0.
    """
    for name, value in given.items():
        _check_positive(name, value)
    return replace(TARGET.of_users(given.get("users", TARGET.users)), **given)


@dataclass(frozen=True, slots=True)
class About:
    """What an assumption means. A choice is the operator's, so its effect is no uncertainty."""

    unit: str
    meaning: str
    highest: float = math.inf
    is_choice: bool = False


def _guess(value: float, unit: str, meaning: str, highest: float = math.inf) -> float:
    return field(default=value, metadata={"about": About(unit, meaning, highest)})


def _choice(value: float, unit: str, meaning: str, highest: float = math.inf) -> float:
    return field(default=value, metadata={"about": About(unit, meaning, highest, is_choice=True)})


@dataclass(frozen=True, slots=True, kw_only=True)
class Assumptions:
    """Every figure that was assumed and not measured, or that the operator chooses.

    Raises:
        CapacityError: A value is not a number above 0, or is above its highest.
    """

    followers_a_post: float = _guess(200, "followers", "of the author of a pushed post, all with timelines")
    bulk_share: float = _guess(0.1, "share", "of the deliveries that go through the bulk lane", 1)
    cold_pages: float = _guess(0.002, "share", "of the pages whose timeline must be rebuilt", 1)
    edges_stage_share: float = _guess(
        0.5, "share", "of a worker's CPU for an edge that the second stage has", 1
    )
    thumbnail_cpu_s: float = _guess(0.05, "s of CPU", "for a thumbnail of 12 megapixels (decision 65)")
    full_cpu_s: float = _guess(0.2, "s of CPU", "for the other three renditions (decision 65)")
    fanout_record_s: float = _guess(
        0.035, "s", "a partition waits for a record of 1,000 deliveries (decision 65)"
    )
    core_speed: float = _guess(1, "times", "the speed of the measured cores, which were shared and busy")
    mean_load: float = _guess(0.5, "share", "of the peak that the mean of a day is", 1)
    timelines_a_user: float = _guess(1, "timelines", "that exist for each user of a day; they live for 72 h")
    cached_photo_days: float = _guess(2, "days", "of photos that are in Redis because somebody reads them")
    stored_days: float = _guess(365, "days", "of likes and photos for which there is room")
    original_bytes: float = _guess(2.5e6, "bytes", "of an original")
    renditions_bytes: float = _guess(350e3, "bytes", "of the four renditions together")
    images_a_page: float = _guess(10, "images", "that an app loads for a page, and has not cached")
    image_bytes: float = _guess(60e3, "bytes", "of an image that an app loads")

    utilisation: float = _choice(0.6, "share", "of CPU and network that may be used at the peak", 1)
    fill: float = _choice(0.6, "share", "of disks and of Redis's memory that may be full", 1)
    lane_busy: float = _choice(1 / 3, "share", "of the time that a partition of the normal lane is busy", 1)
    kafka_replicas: float = _choice(3, "replicas", "of each partition")
    cassandra_replicas: float = _choice(3, "replicas", "of each row")
    redis_replicas: float = _choice(1, "replicas", "of each primary")
    broker_cores: float = _choice(8, "cores", "of a broker")
    broker_disk_tb: float = _choice(8, "TB", "of a broker")
    cassandra_cores: float = _choice(16, "cores", "of a Cassandra node")
    cassandra_disk_tb: float = _choice(4, "TB", "of a Cassandra node")
    redis_memory_gb: float = _choice(24, "GB", "of a Redis primary, which uses one core")
    node_gbit: float = _choice(
        10, "Gbit/s", "of the network of a broker, and of a machine with 16 API processes"
    )
    redis_gbit: float = _choice(1, "Gbit/s", "of the network of a Redis primary")

    def __post_init__(self) -> None:
        for name, about in ABOUT.items():
            value = getattr(self, name)
            _check_positive(name, value)
            if value > about.highest:
                raise CapacityError(f"{name} is {value:g}; it must be at most {about.highest:g}")
            if about.unit == "replicas" and value != int(value):
                raise CapacityError(f"{name} is {value:g}; it must be a whole number")

    def with_values(self, given: Mapping[str, float]) -> Self:
        """Return these with other values.

        Raises:
            CapacityError: See the class; or a name is unknown.
        """
        for name in given:
            if name not in ABOUT:
                raise CapacityError(f"no assumption is named {name!r}; there are {', '.join(ABOUT)}")
        return replace(self, **given)


ABOUT: Mapping[str, About] = MappingProxyType(
    {each.name: each.metadata["about"] for each in fields(Assumptions)}
)


def _check_positive(name: str, value: float) -> None:
    if not (math.isfinite(value) and value > 0):
        raise CapacityError(f"{name} is {value:g}; it must be a number above 0")
