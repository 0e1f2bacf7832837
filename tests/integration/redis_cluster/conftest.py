"""A Redis Cluster of three primaries with a replica each, which the tests of this folder kill and reshape."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from infra.local import ports
from infra.local.paths import Home
from infra.local.processes.daemon import stop_all
from infra.local.processes.readiness import wait_ready
from infra.local.servers.redis_cluster import RedisClusterServer, form_cluster
from streams.settings import Settings

PRIMARIES = 3


@dataclass(frozen=True)
class Cluster:
    """`primaries` are those at the start; a replica may have replaced one since."""

    primaries: list[RedisClusterServer]
    replicas: list[RedisClusterServer]

    @property
    def settings(self) -> Settings:
        return Settings(redis=f"redis://127.0.0.1:{self.primaries[0].port}", redis_cluster=True)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    home = Home(tmp_path_factory.mktemp("redis"))
    names = [f"redis-{number}" for number in range(1, 2 * PRIMARIES + 1)]
    chosen = {port: ports.unused(()) for name in names for port in (name, f"{name}_bus")}
    servers = [
        RedisClusterServer(home, home.root, chosen, dies_with_parent=True, name=name) for name in names
    ]
    try:
        for server in servers:
            server.start()
        wait_ready({server: server.responds for server in servers})
        made = Cluster(servers[:PRIMARIES], servers[PRIMARIES:])
        form_cluster(made.primaries, made.replicas)
        yield made
    finally:
        stop_all(servers)
