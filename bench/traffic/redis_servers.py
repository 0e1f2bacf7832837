"""The Redis of a stack as one store, whether it is one server or a cluster."""

import shutil
from pathlib import Path

import redis

from infra.local.stack import Stack

# A server writes these and renames them, so they may be gone when they are copied.
DRAFTS = shutil.ignore_patterns("temp-*", "nodes.conf-*")


class RedisServers:
    """Loses what it has, or comes back with what it had."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._servers = [stack.server(name) for name in stack.layout.names("redis")]

    def flush(self) -> None:
        for server in self._servers:
            with redis.Redis(port=server.port) as direct:
                if direct.info("replication")["role"] == "master":
                    direct.flushall()

    def copy(self, folder: Path) -> None:
        """Copy all data to `folder`, as a backup of running servers does."""
        for server in self._servers:
            shutil.copytree(server.data_dir, folder / server.name, ignore=DRAFTS)

    def roll_back(self, folder: Path) -> None:
        """Kill every server and start it with the copy in `folder`; returns when all slots are served."""
        for server in self._servers:
            server.kill()
        for server in self._servers:
            shutil.rmtree(server.data_dir)
            shutil.copytree(folder / server.name, server.data_dir)
        self._stack.start_servers()
