"""A server of the stack: how it is configured and started, and when it is ready."""

import os
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from string import Template

from infra.local.paths import TEMPLATES, Home, private_folder
from infra.local.processes.daemon import Daemon
from infra.local.processes.readiness import READY_DEADLINE_S, wait_ready

# Where a terminator has the port NAME, the server itself listens at the port NAME_plain.
PLAIN = "_plain"


class Server(Daemon, ABC):
    """One real server. Each kind says how it is configured, what it runs and when it answers."""

    kind: str

    def __init__(
        self,
        home: Home,
        library: Path,
        ports: Mapping[str, int],
        *,
        dies_with_parent: bool,
        name: str | None = None,
        peers: Sequence[str] = (),
    ) -> None:
        """`ports` is read at every start, so that the stack can choose other ports while nothing runs.

        The first server of a kind has the name of its kind; `name` is for further ones. `peers` are the names
        of all nodes of its cluster, itself among them; without it, it is the only one.
        """
        super().__init__(name or self.kind, home, dies_with_parent=dies_with_parent)
        self.library = library
        self.ports = ports
        self.peers = peers or (self.name,)

    @property
    def port(self) -> int:
        return self.ports[self.name]

    @property
    def data_dir(self) -> Path:
        """All its data. If it is deleted while the server is stopped, the server starts empty."""
        return self.home.data / self.name

    def start(self, extra_environment: Mapping[str, str] | None = None) -> bool:
        """Start it unless it runs already; returns whether this call started it. Call `wait_ready` next."""
        if self.pid is not None:
            return False
        self.home.make_private()
        private_folder(self.data_dir)
        private_folder(self._conf_dir)
        self.configure()
        # malloc uses two arenas instead of eight for each core, which would waste 100 MB in the
        # JVMs.
        environment = {**os.environ, "MALLOC_ARENA_MAX": "2", **(extra_environment or {})}
        self.spawn(self.command(), environment, self.data_dir)
        return True

    def wait_ready(self, deadline_s: float = READY_DEADLINE_S) -> None:
        """Return when it answers; see `readiness.wait_ready` for what it raises."""
        wait_ready({self: self.responds}, deadline_s=deadline_s)

    @abstractmethod
    def configure(self) -> None:
        """Write its configuration, and the files that it needs in its data folder."""

    @abstractmethod
    def command(self) -> Sequence[str]:
        """What to execute."""

    @abstractmethod
    def responds(self) -> bool:
        """Whether it answers a request in its own protocol."""

    def _own_port(self, name: str) -> int:
        """The port at which the server of this port's name listens itself, without TLS."""
        return self.ports.get(f"{name}{PLAIN}", self.ports[name])

    @property
    def _conf_dir(self) -> Path:
        return self.home.conf / self.name

    def _write_conf(self, template: str, **values: object) -> Path:
        """Fill in the template beside this module and write it; it may hold secrets."""
        text = Template((TEMPLATES / self.kind / template).read_text()).substitute(values)
        path = self._conf_dir / template
        path.touch(mode=0o600)
        path.write_text(text)
        return path

    def _append_conf(self, path: Path, template: str, **values: object) -> None:
        """Fill in one more template beside this module and append it to what was written."""
        text = Template((TEMPLATES / self.kind / template).read_text()).substitute(values)
        path.write_text(path.read_text() + text)
