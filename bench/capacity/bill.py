"""How many servers and processes a load needs, and which limit says so."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from bench.capacity.coefficients import Coefficients, Part
from bench.capacity.demand import (
    cassandra_bytes,
    cpu_s,
    kafka_bytes,
    kafka_stored_bytes,
    redis_bytes,
    redis_bytes_per_s,
    stored,
    work_of,
    worker_cores,
)
from bench.capacity.load import Assumptions, Load
from streams.roles import MEDIA_ROLES, Role

GBIT_BYTES = 1e9 / 8
PROCESSES_A_MACHINE = 16  # API processes; each has as large a part of its machine's network.
CHILDREN = 2  # `thumbnail_children_max` and `full_children_max`: the cores of a worker of renditions.
REDIS = "Redis primaries"
REDIS_PRIMARIES_MIN = 3
PROCESSES_MIN = 2  # Of each kind: one may end.


@dataclass(frozen=True, slots=True)
class Limit:
    """How many of a component one resource asks for, not rounded. It grows in proportion to the load."""

    name: str
    need: float


@dataclass(frozen=True, slots=True)
class Component:
    """A kind of server or process. At least `smallest` are needed; each has `cores`, with its replicas."""

    name: str
    smallest: int
    cores: float
    limits: tuple[Limit, ...]

    @property
    def by_need(self) -> list[Limit]:
        """The limits, the greatest need first."""
        return sorted(self.limits, key=lambda limit: -limit.need)

    @property
    def count(self) -> int:
        return max(self.smallest, math.ceil(self.by_need[0].need))

    @property
    def binds(self) -> str:
        """The limit that sets the count; `smallest` if none asks for more than that."""
        first = self.by_need[0]
        return first.name if first.need > self.smallest else "smallest"

    @property
    def cores_in_all(self) -> float:
        return self.count * self.cores

    @property
    def smallest_suffices(self) -> float:
        """Up to how many times the load the smallest number is enough."""
        need = self.by_need[0].need
        return self.smallest / need if need else math.inf


@dataclass(frozen=True, slots=True)
class Bill:
    """Everything that a load needs. `storage_tb` has all replicas, `network_gbit` is at the peak."""

    load: Load
    servers: tuple[Component, ...]
    processes: tuple[Component, ...]
    storage_tb: Mapping[str, float]
    network_gbit: Mapping[str, float]

    @property
    def components(self) -> tuple[Component, ...]:
        return self.servers + self.processes

    @property
    def cores(self) -> float:
        return sum(component.cores_in_all for component in self.components)

    @property
    def binds_first(self) -> tuple[Component, Limit, float]:
        """The first limit above the smallest cluster as the load grows, and with how many users it is met."""
        first = min(self.components, key=lambda component: component.smallest_suffices)
        return first, first.by_need[0], first.smallest_suffices * self.load.users


def bill_of(load: Load, assumed: Assumptions, coefficients: Coefficients) -> Bill:
    """Size every component for a load at its peak."""
    cores = {
        part: used / assumed.core_speed for part, used in cpu_s(work_of(load, assumed), coefficients).items()
    }
    storage_tb = {
        "Kafka": kafka_stored_bytes(load, assumed, coefficients) * assumed.kafka_replicas / 1e12,
        "Cassandra": cassandra_bytes(load, assumed, coefficients) * assumed.cassandra_replicas / 1e12,
        "Redis, with replicas": redis_bytes(load, assumed, coefficients)
        * (1 + assumed.redis_replicas)
        / 1e12,
        "S3": stored(load.uploads, assumed) * (assumed.original_bytes + assumed.renditions_bytes) / 1e12,
    }
    network_gbit = _network_gbit(load, assumed, coefficients)
    return Bill(
        load,
        (
            _brokers(cores[Part.KAFKA], storage_tb, network_gbit, assumed),
            _cassandra(cores[Part.CASSANDRA], storage_tb, assumed),
            _redis(cores[Part.REDIS], storage_tb, network_gbit, assumed),
        ),
        (*_workers(load, assumed, coefficients), _api(cores[Part.API], network_gbit, assumed)),
        storage_tb,
        network_gbit,
    )


def _network_gbit(load: Load, assumed: Assumptions, coefficients: Coefficients) -> Mapping[str, float]:
    produced = sum(kafka_bytes(load, coefficients).values())
    bytes_per_s = {
        "uploads from clients": load.uploads * assumed.original_bytes,
        "pages to clients": load.reads * coefficients.bytes_of("page"),
        "images from the CDN": load.reads * assumed.images_a_page * assumed.image_bytes,
        "into Kafka, with replication": produced * assumed.kafka_replicas,
        # Each topic has one group of consumers.
        "out of Kafka, with replication": produced * assumed.kafka_replicas,
        "out of Redis": redis_bytes_per_s(load, assumed, coefficients),
    }
    return {name: value / GBIT_BYTES for name, value in bytes_per_s.items()}


def _brokers(
    cores: float, storage_tb: Mapping[str, float], network_gbit: Mapping[str, float], assumed: Assumptions
) -> Component:
    replicas = assumed.kafka_replicas
    return Component(
        "Kafka brokers",
        int(replicas),
        assumed.broker_cores,
        (
            Limit("CPU", cores * replicas / (assumed.utilisation * assumed.broker_cores)),
            Limit("disk", storage_tb["Kafka"] / (assumed.fill * assumed.broker_disk_tb)),
            # A network card sends and receives at the same time, here as much.
            Limit(
                "network",
                network_gbit["into Kafka, with replication"] / (assumed.utilisation * assumed.node_gbit),
            ),
        ),
    )


def _cassandra(cores: float, storage_tb: Mapping[str, float], assumed: Assumptions) -> Component:
    replicas = assumed.cassandra_replicas
    return Component(
        "Cassandra nodes",
        int(replicas),
        assumed.cassandra_cores,
        (
            # A read asks two of three replicas only; the coefficients do not tell reads from writes.
            Limit("CPU", cores * replicas / (assumed.utilisation * assumed.cassandra_cores)),
            Limit("disk", storage_tb["Cassandra"] / (assumed.fill * assumed.cassandra_disk_tb)),
        ),
    )


def _redis(
    cores: float, storage_tb: Mapping[str, float], network_gbit: Mapping[str, float], assumed: Assumptions
) -> Component:
    nodes = 1 + assumed.redis_replicas
    memory_gb = 1_000 * storage_tb["Redis, with replicas"] / nodes
    return Component(
        REDIS,
        REDIS_PRIMARIES_MIN,
        nodes,
        (
            Limit("CPU", cores / assumed.utilisation),
            Limit("memory", memory_gb / (assumed.fill * assumed.redis_memory_gb)),
            Limit("network", network_gbit["out of Redis"] / (assumed.utilisation * assumed.redis_gbit)),
        ),
    )


def _workers(load: Load, assumed: Assumptions, coefficients: Coefficients) -> Iterator[Component]:
    for role, cores in worker_cores(load, assumed, coefficients).roles.items():
        cores_each = cores_of_worker(role)
        limit = Limit("CPU", cores / (assumed.utilisation * cores_each))
        yield Component(f"workers, {role}", PROCESSES_MIN, cores_each, (limit,))


def cores_of_worker(role: Role) -> int:
    """Return how many cores one worker can use."""
    return CHILDREN if role in MEDIA_ROLES else 1


def _api(cores: float, network_gbit: Mapping[str, float], assumed: Assumptions) -> Component:
    gbit_each = assumed.node_gbit / PROCESSES_A_MACHINE
    return Component(
        "API processes",
        PROCESSES_MIN,
        1,
        (
            Limit("CPU", cores / assumed.utilisation),
            Limit("network", network_gbit["pages to clients"] / (assumed.utilisation * gbit_each)),
        ),
    )
