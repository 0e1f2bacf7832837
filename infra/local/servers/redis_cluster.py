"""Redis as a cluster: servers that know each other, each with a part of the slots or a copy of a part."""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

from redis import Redis

from infra.local.errors import StackError
from infra.local.servers.redis import RedisServer, redis_binary

SLOTS = 16_384
FORM_DEADLINE_S = 60.0
LOOK_S = 0.05


class RedisClusterServer(RedisServer):
    """One server of a cluster; its ports are `NAME` and `NAME_bus`."""

    def configure(self) -> None:
        server = self._write_conf("redis.conf", port=self.port, data=json.dumps(str(self.data_dir)))
        self._write_conf("cluster.conf", server=json.dumps(str(server)), bus=self.bus_port)

    def command(self) -> Sequence[str]:
        return [redis_binary(), str(self._conf_dir / "cluster.conf")]

    def client(self) -> Any:
        """A client of this server, which the caller closes."""
        return Redis(port=self.port)

    @property
    def bus_port(self) -> int:
        return self.ports[f"{self.name}_bus"]


def form_cluster(primaries: Sequence[RedisClusterServer], replicas: Sequence[RedisClusterServer]) -> None:
    """Make a cluster of servers that run: equal parts of the slots, and replicas of the first primaries.

    Returns when all of them agree and serve. May be repeated, also after it was interrupted anywhere.

    Raises:
        StackError: They did not agree within `FORM_DEADLINE_S`.
    """
    servers = [*primaries, *replicas]
    clients: list[Any] = [server.client() for server in servers]
    try:
        if any(int(_state(client)["cluster_slots_assigned"]) < SLOTS for client in clients):
            _form(servers, clients, len(primaries))
        _until(lambda: all(_is_settled(client) for client in clients))
    finally:
        for client in clients:
            client.close()


def _form(servers: Sequence[RedisClusterServer], clients: Sequence[Any], primaries: int) -> None:
    """Take each step where it is missing."""
    bounds = pairwise(SLOTS * number // primaries for number in range(primaries + 1))
    for number, (client, (begin, end)) in enumerate(zip(clients, bounds, strict=False), start=1):
        if _state(client)["cluster_slots_assigned"] == "0":
            client.execute_command("CLUSTER ADDSLOTSRANGE", begin, end - 1)
            client.execute_command("CLUSTER SET-CONFIG-EPOCH", number)
    for server in servers[1:]:
        clients[0].execute_command("CLUSTER MEET", "127.0.0.1", server.port, server.bus_port)
    _until(lambda: all(int(_state(client)["cluster_known_nodes"]) == len(servers) for client in clients))
    for primary, replica in zip(clients, clients[primaries:], strict=False):
        replica.execute_command("CLUSTER REPLICATE", primary.execute_command("CLUSTER MYID"))


def _state(client: Any) -> Mapping[str, str]:
    state: Mapping[str, str] = client.cluster("INFO")
    return state


def _is_settled(client: Any) -> bool:
    """Whether the server serves all slots, and has its primary's data if it is a replica."""
    state = _state(client)
    if state["cluster_state"] != "ok" or int(state["cluster_slots_assigned"]) < SLOTS:
        return False
    replication = client.info("replication")
    return bool(replication["role"] == "master" or replication["master_link_status"] == "up")


def _until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + FORM_DEADLINE_S
    while not is_so():
        if time.monotonic() > deadline:
            raise StackError(f"the servers of Redis did not form a cluster within {FORM_DEADLINE_S:g} s")
        time.sleep(LOOK_S)
