"""Which servers a stack has: one of each, or several nodes of Kafka, Cassandra and Redis; secured or not."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

# For each kind of server that may have several nodes, how many servers a node of the stack has.
SERVERS_A_NODE: Mapping[str, int] = {"kafka": 1, "cassandra": 1, "redis": 2}
NODES_ALLOWED = (1, 3)
MONITOR = "monitor"
PROMETHEUS = "prometheus"
ALERTMANAGER = "alertmanager"
# A stack that has not been started since they were added has no ports for them.
LATER_PORTS = frozenset({MONITOR, PROMETHEUS, ALERTMANAGER})


@dataclass(frozen=True, slots=True)
class Layout:
    """A stack of 1 or of 3 nodes. With 3 nodes, Redis is a cluster, and each primary has a replica.

    In a secured one, programs log in to all stores over TLS. In front of Redis and S3 is a terminator.
    """

    nodes: int = 1
    secured: bool = False

    def names(self, kind: str) -> Sequence[str]:
        """The names of the servers of a kind: `kafka`, or `kafka-1` to `kafka-3`."""
        if self.nodes == 1 or kind not in SERVERS_A_NODE:
            return (kind,)
        return tuple(f"{kind}-{number}" for number in range(1, self.nodes * SERVERS_A_NODE[kind] + 1))

    def port_owners(self) -> Mapping[str, str]:
        """Every port, and the process that listens on it."""
        owners: dict[str, str] = {}
        for kafka in self.names("kafka"):
            owners |= {kafka: kafka, f"{kafka}_controller": kafka}
        for cassandra in self.names("cassandra"):
            owners |= {cassandra: cassandra, f"{cassandra}_storage": cassandra}
        for redis in self.names("redis"):
            owners |= {redis: redis, **({f"{redis}_bus": redis} if self.nodes > 1 else {})}
        owners |= {
            "s3": "s3_gate",
            "s3_store": "s3",
            "shield": "shield",
            "shield_status": "shield",
            "edge": "edge",
            "edge_status": "edge",
            "api": "api",
            MONITOR: MONITOR,
            PROMETHEUS: PROMETHEUS,
            ALERTMANAGER: ALERTMANAGER,
        }
        if self.secured:
            for name in (*self.names("redis"), "s3"):
                owners |= {name: "terminator", f"{name}_plain": owners[name]}
        return owners


def layout_of(ports: Mapping[str, int]) -> Layout:
    """The layout of a stack that has these ports."""
    return next(
        (
            layout
            for secured in (True, False)
            for layout in (Layout(nodes, secured) for nodes in NODES_ALLOWED)
            if layout.port_owners().keys() - LATER_PORTS <= ports.keys()
        ),
        Layout(),
    )
