"""Cassandra: one node, or several of one ring."""

import json
from collections.abc import Sequence

from infra.local.paths import TEMPLATES
from infra.local.servers import probes
from infra.local.servers.java import java
from infra.local.servers.server import Server

# Half of this heap would halve the speed of bulk writes; a larger heap helps only benchmarks.
HEAP_FIRST, HEAP_MAX = "128m", "512m"

# Murmur3Partitioner's tokens are 64-bit integers.
TOKEN_MIN, TOKENS = -(2**63), 2**64

# The start is short, because Cassandra does not wait for other nodes, uses a constant instead of
# measuring the memory of a row for 2 s, and assumes two processors on every machine. The stop is
# short, because Cassandra does not announce it to other nodes.
PROPERTIES = {
    "cassandra-foreground": "yes",
    "cassandra.skip_wait_for_gossip_to_settle": "0",
    "cassandra.load_ring_state": "false",
    "cassandra.ring_delay_ms": "0",
    "cassandra.superuser_setup_delay_ms": "0",
    "cassandra.available_processors": "2",
    "cassandra.memtable.row_overhead_size": "180",
    "cassandra.shutdown_announce_in_ms": "0",
    "cassandra.test.ignore_sigar": "true",
    "cassandra.test.messagingService.nonGracefulShutdown": "true",
}


class CassandraServer(Server):
    """Acknowledged writes are on disk: the commit log is synced in batches, before the response."""

    kind = "cassandra"

    def configure(self) -> None:
        folders = ("data", "commitlog", "saved_caches", "hints", "cdc_raw")
        number = self.peers.index(self.name)
        self._write_conf(
            "cassandra.yaml",
            port=self.port,
            storage_port=self._storage_port(self.name),
            seeds=",".join(f"127.0.0.1:{self._storage_port(name)}" for name in self.peers),
            # Equal parts of the ring, so that nodes which start at the same moment need not agree on them.
            token=TOKEN_MIN + TOKENS * number // len(self.peers),
            # A JSON string is also a YAML string, whatever characters the path has.
            **{folder: json.dumps(str(self.data_dir / folder)) for folder in folders},
        )

    def _storage_port(self, name: str) -> int:
        return self.ports[f"{name}_storage"]

    def command(self) -> Sequence[str]:
        line = java(self.library, self.kind, agent="jamm-*.jar", heap=(HEAP_FIRST, HEAP_MAX))
        properties = {
            **PROPERTIES,
            "cassandra.config": (self._conf_dir / "cassandra.yaml").as_uri(),
            "cassandra.storagedir": self.data_dir,
            "cassandra.logdir": self.data_dir,
            "logback.configurationFile": TEMPLATES / self.kind / "logback.xml",
        }
        own = [f"@{TEMPLATES / self.kind / 'jvm.options'}", *(f"-D{k}={v}" for k, v in properties.items())]
        return [line[0], *own, *line[1:], "org.apache.cassandra.service.CassandraDaemon"]

    def responds(self) -> bool:
        return probes.cassandra_responds(self.port)
