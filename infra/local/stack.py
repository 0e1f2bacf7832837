"""The local stack as an object, for the commands, for tests and for benches.

stack = Stack(Path(".local/test"), dies_with_parent=True)
stack.start_servers()
stack.environment()["SHUTTERLINE_KAFKA"]
stack.server("redis").kill()
stack.stop()
"""

import os
import shlex
import shutil
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from infra.local import media_keys, ports
from infra.local.credentials import load_or_make
from infra.local.errors import StackError
from infra.local.layout import MONITOR, Layout, layout_of
from infra.local.media_keys import MediaKey
from infra.local.monitoring.alertmanager import AlertmanagerServer
from infra.local.monitoring.prometheus import PrometheusServer
from infra.local.paths import PROJECT, Home, shared_library
from infra.local.processes.daemon import Daemon, stop_all
from infra.local.processes.readiness import wait_ready
from infra.local.progress import Progress, Silent
from infra.local.secured.cassandra import SecuredCassandraServer, make_roles
from infra.local.secured.environment import secured_environment
from infra.local.secured.kafka import SecuredKafkaServer
from infra.local.secured.redis import SecuredRedisClusterServer, SecuredRedisServer
from infra.local.secured.terminator import TerminatorServer
from infra.local.servers.cache import CacheServer
from infra.local.servers.cassandra import CassandraServer
from infra.local.servers.edge import EdgeServer, media_url
from infra.local.servers.jars import missing
from infra.local.servers.kafka import KafkaServer
from infra.local.servers.redis import RedisServer
from infra.local.servers.redis_cluster import RedisClusterServer, form_cluster
from infra.local.servers.s3 import MEDIA_BUCKET, S3Server
from infra.local.servers.s3_gate import S3GateServer
from infra.local.servers.server import Server
from infra.local.servers.shield import ShieldServer

# The order of starting: the slowest first, so that they start while others do. Kafka is last: before
# its first start the stack waits while its data folder is formatted, and nothing should wait for that.
KINDS: Sequence[type[Server]] = (
    CassandraServer,
    S3Server,
    S3GateServer,
    RedisServer,
    ShieldServer,
    EdgeServer,
    KafkaServer,
)
# What watches the stack, where it is wanted; both come from the machine's packages.
MONITORING: Sequence[type[Server]] = (AlertmanagerServer, PrometheusServer)
# What a secured stack has in place of them.
SECURED: Mapping[type[Server], type[Server]] = {
    CassandraServer: SecuredCassandraServer,
    RedisServer: SecuredRedisServer,
    RedisClusterServer: SecuredRedisClusterServer,
    KafkaServer: SecuredKafkaServer,
}
# `clean` does not delete it, because it took minutes to download.
LIBRARY_NAME = "lib"


class Stack:
    """The servers and processes of one folder. A process that runs there already is found and reused."""

    def __init__(
        self,
        home: Path,
        *,
        layout: Layout | None = None,
        secured: bool | None = None,
        wanted_ports: Mapping[str, int] | None = None,
        library: Path | None = None,
        dies_with_parent: bool = False,
    ) -> None:
        """`home` is made if it is missing; `library` has the jars (default: the project's).

        Without a `layout`, the stack has that of its last run; likewise without `secured`, which says whether
        programs log in to its stores, and that over TLS.

        With `dies_with_parent` the kernel ends everything together with this process. Otherwise the stack
        outlives it.

        Raises:
            StackError: The stack has another layout, and data.
        """
        self.home = Home(home.resolve())
        self._wanted = dict(wanted_ports or {})
        self._library = library or shared_library()
        self._dies_with_parent = dies_with_parent
        self._ports = ports.load(self.home.ports_file)
        former = layout_of(self._ports)
        self.layout = replace(layout or former, secured=former.secured if secured is None else secured)
        if self._ports and self.layout != former:
            raise StackError(
                f"the stack in {self.home.root} has {former.nodes} nodes{_tls(former)} and data, and is to "
                f"have {self.layout.nodes}{_tls(self.layout)}: run `make clean` first, which deletes the data"
            )
        self._daemons: dict[str, Daemon] = {
            name: self._new_server(kind, name)
            for kind in (*KINDS, *((TerminatorServer,) if self.layout.secured else ()))
            for name in self.layout.names(kind.kind)
        }

    def start_servers(self, progress: Progress | None = None) -> list[str]:
        """Start the servers that do not run, all at once, and return their names when every server answers.

        Raises:
            DaemonDiedError: One ended meanwhile.
            StackError: The jars are missing, a port is taken, or one did not answer in time.
        """
        progress = progress or Silent()
        if absent := missing(self._library):
            raise StackError(
                f"the jars of {', '.join(absent)} are not in {self._library}: `make servers` fetches them"
            )
        self.choose_ports()
        progress.doing("starting the servers")
        already_running = self.running()
        started = [server.name for server in self._servers() if server.start()]
        wait_ready(
            {server: server.responds for server in self._servers()},
            already_running=already_running,
            progress=progress,
        )
        if clustered := [server for server in self._servers() if isinstance(server, RedisClusterServer)]:
            form_cluster(clustered[: self.layout.nodes], clustered[self.layout.nodes :])
        if asking := [server for server in self._servers() if isinstance(server, SecuredCassandraServer)]:
            make_roles(asking[0])
        return started

    def start_monitoring(self, progress: Progress | None = None) -> None:
        """Start Prometheus and Alertmanager, which watch what runs; returns when they answer.

        Another `Stack` of the same folder can stop them.

        Raises:
            DaemonDiedError: One ended meanwhile.
            StackError: One is not installed, or did not answer in time.
        """
        already_running = self.running()
        servers = [self._new_server(kind, kind.kind) for kind in MONITORING]
        self._daemons.update({server.name: server for server in servers})
        for server in servers:
            server.start()
        wait_ready(
            {server: server.responds for server in servers},
            already_running=already_running,
            progress=progress,
        )

    def start_edge(self, name: str) -> EdgeServer:
        """Start one more CDN edge beside `edge`; returns when it answers.

        Another `Stack` of the same folder can stop it, but does not know its ports.
        """
        for port in (name, f"{name}_status"):
            self._ports.setdefault(port, ports.unused(self._ports.values()))
        edge = EdgeServer(
            self.home, self._library, self._ports, dies_with_parent=self._dies_with_parent, name=name
        )
        self._daemons[name] = edge
        edge.start()
        edge.wait_ready()
        return edge

    def rotate_media_key(self) -> MediaKey:
        """Make the key that signs photo URLs from now on. The previous key stays trusted, older ones do not.

        Running CDN edges reload at once and lose no request. Running API processes take the key up within
        `media_keys_refresh_ms`.
        """

        def reload_edges() -> None:
            for edge in self._servers():
                if isinstance(edge, EdgeServer):
                    edge.reload()

        key, *_ = media_keys.rotate(self.home.secrets, reload_edges)
        if self._ports:
            self.write_environment()
        return key

    def choose_ports(self) -> None:
        """Choose the ports and store them for the next run."""
        owners = self.layout.port_owners()
        chosen = ports.choose(self._wanted, self._ports, self.running(), owners=owners)
        self.home.make_private()
        self._ports.update(chosen)  # In place: the servers hold the same mapping.
        ports.save(self.home.ports_file, chosen)

    def server(self, name: str) -> Server:
        """The server of this name.

        Raises:
            StackError: There is none of this name.
        """
        daemon = self._daemons.get(name)
        if not isinstance(daemon, Server):
            raise StackError(
                f"{name!r} is no server; the servers are {', '.join(each.name for each in self._servers())}"
            )
        return daemon

    def start_process(
        self,
        name: str,
        command: Sequence[str],
        extra_env: Mapping[str, str] | None = None,
        *,
        folder: Path = PROJECT,
    ) -> Daemon:
        """Run a program of ours under this name, with the stack's environment, unless it runs already.

        It runs in `folder`, the project's or that of another checkout. It knows its name from
        SHUTTERLINE_PROCESS and the folder for its metrics' address from SHUTTERLINE_RUN_DIR.
        """
        daemon = self.process(name)
        if daemon.pid is None:
            own = {"SHUTTERLINE_PROCESS": name, "SHUTTERLINE_RUN_DIR": str(self.home.run)}
            daemon.spawn(command, {**os.environ, **self.environment(), **own, **(extra_env or {})}, folder)
        return daemon

    def stop_process(self, name: str) -> None:
        """Stop one process and what it started; nothing happens if it does not run."""
        self.process(name).stop()

    def process(self, name: str) -> Daemon:
        """The process of this name, running or not."""
        return self._daemons.setdefault(
            name, Daemon(name, self.home, dies_with_parent=self._dies_with_parent)
        )

    def processes(self) -> list[Daemon]:
        """Every process that has a pid file, and every server; servers first."""
        for file in sorted(self.home.run.glob("*.pid")):
            self.process(file.stem)
        return list(self._daemons.values())

    def running(self) -> set[str]:
        """The names of the processes that run now."""
        return {daemon.name for daemon in self.processes() if daemon.pid is not None}

    def port(self, name: str) -> int | None:
        """The port of this name, once chosen."""
        return self._ports.get(name)

    def stop(self, keep: Collection[str] = ()) -> None:
        """Stop everything but `keep`: first the programs, then the servers that they use. The data stays."""
        ending = [daemon for daemon in self.processes() if daemon.name not in keep]
        stop_all([daemon for daemon in ending if not isinstance(daemon, Server)])
        stop_all([daemon for daemon in ending if isinstance(daemon, Server)])

    def clean(self) -> None:
        """Stop everything and delete data, logs, ports and secrets. Downloaded jars stay."""
        self.stop()
        for entry in self.home.root.glob("*"):
            if entry.is_dir() and entry.name != LIBRARY_NAME:
                shutil.rmtree(entry)
            elif entry.is_file() and entry != self.home.lock_file:
                entry.unlink()
        self._ports.clear()

    def environment(self) -> dict[str, str]:
        """What a program needs to join this stack, by the names of the outside contract.

        Raises:
            StackError: The stack has never been started, so it has no addresses.
        """
        if not self._ports:
            raise StackError(f"the stack in {self.home.root} has no ports yet: start it first")
        credentials = load_or_make(self.home.secrets)
        # In the order of KINDS: the shield comes before the CDN edges.
        caches = [server for server in self._servers() if isinstance(server, CacheServer)]
        local = {name: f"127.0.0.1:{port}" for name, port in self._ports.items()}
        of_kind = {
            kind: ",".join(local[name] for name in self.layout.names(kind))
            for kind in ("kafka", "cassandra", "redis")
        }
        replicas = str(self.layout.nodes)
        environment = {
            "SHUTTERLINE_KAFKA": of_kind["kafka"],
            "SHUTTERLINE_KAFKA_REPLICAS": replicas,
            "SHUTTERLINE_CASSANDRA": of_kind["cassandra"],
            "SHUTTERLINE_CASSANDRA_REPLICATION": replicas,
            "SHUTTERLINE_REDIS": f"redis://{of_kind['redis']}/0",
            "SHUTTERLINE_REDIS_CLUSTER": str(int(self.layout.nodes > 1)),
            "SHUTTERLINE_S3": f"http://{local['s3']}",
            "SHUTTERLINE_S3_BUCKET": MEDIA_BUCKET,
            "SHUTTERLINE_S3_ACCESS_KEY": credentials.s3_access_key,
            "SHUTTERLINE_S3_SECRET_KEY": credentials.s3_secret_key,
            "SHUTTERLINE_MEDIA_URL": media_url(self._ports),
            "SHUTTERLINE_MEDIA_KEY_ID": credentials.media_keys[0].key_id,
            "SHUTTERLINE_MEDIA_PRIVATE_KEY": str(media_keys.signing_file(self.home.secrets)),
            "SHUTTERLINE_EDGES": ",".join(f"http://{cache.status_address}" for cache in caches),
            "SHUTTERLINE_EDGE_SECRET": credentials.edge_secret,
            "SHUTTERLINE_EDGE_VIEWS": ",".join(
                str(cache.views_dir) for cache in caches if isinstance(cache, EdgeServer)
            ),
            "SHUTTERLINE_JWT_SECRET": credentials.jwt_secret,
            "SHUTTERLINE_OPS_OPEN": "1",
            "SHUTTERLINE_LIMITS_BY_ADDRESS": "0",
            "SHUTTERLINE_API": f"http://{local['api']}",
        }
        if MONITOR in local:  # An older stack that has not been started since has no port for it.
            environment["SHUTTERLINE_MONITOR"] = local[MONITOR]
        if self.layout.secured:
            environment |= secured_environment(self.home.secrets, of_kind["redis"], local["s3"])
        return environment

    def write_environment(self) -> Path:
        """Write `environment()` as one NAME=value a line, for `set -a; . FILE` and for our own commands."""
        file = self.home.environment_file
        draft = file.with_suffix(".new")
        draft.touch(mode=0o600)
        draft.write_text(
            "".join(f"{name}={shlex.quote(value)}\n" for name, value in self.environment().items())
        )
        draft.replace(file)
        return file

    def _servers(self) -> list[Server]:
        return [daemon for daemon in self._daemons.values() if isinstance(daemon, Server)]

    def _new_server(self, kind: type[Server], name: str) -> Server:
        if kind is RedisServer and self.layout.nodes > 1:
            kind = RedisClusterServer
        if self.layout.secured:
            kind = SECURED.get(kind, kind)
        return kind(
            self.home,
            self._library,
            self._ports,
            dies_with_parent=self._dies_with_parent,
            name=name,
            peers=self.layout.names(kind.kind),
        )


def _tls(layout: Layout) -> str:
    return " with TLS" if layout.secured else ""
