"""Make Cassandra refuse: a node of its own, with roles, a small disk, and JMX to change its limits."""

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial

from cassandra.auth import PlainTextAuthProvider
from cassandra.cluster import Cluster, NoHostAvailable

from bench.refusing.refusing import MIB, Refusing, filled, small_disk
from bench.traffic.waiting import wait_until
from infra.local import ports
from infra.local.paths import TEMPLATES, shared_library
from infra.local.servers.cassandra import CassandraServer
from infra.local.servers.java import java
from infra.local.stack import Stack

NAME = "cassandra_refusing"
ROLE, PASSWORD = "shutterline", "of benches and tests alone"
ADMIN = "cassandra"  # The role, and its password, that a new cluster has.
COMMIT_LOG_BYTES = 320 * MIB
START_S = 60.0
SETTINGS = "org.apache.cassandra.db:type=StorageService"


class RefusingCassandra(CassandraServer):
    """A node that authenticates and authorises."""

    def configure(self) -> None:
        super().configure()
        conf = self._conf_dir / "cassandra.yaml"
        text = conf.read_text().replace("AllowAllAuthenticator", "PasswordAuthenticator")
        conf.write_text(
            text.replace("AllowAllAuthorizer", "CassandraAuthorizer").replace(
                "commitlog_segment_size: 8MiB", "commitlog_segment_size: 2MiB"
            )
            + "\npermissions_validity: 100ms\n"
        )

    def command(self) -> Sequence[str]:
        binary, *rest = super().command()
        return [binary, f"-Dcassandra.jmx.local.port={self.ports['jmx']}", *rest]

    def set(self, **limits: object) -> None:
        """Change attributes of the running node, one call of Cassandra's own tool for each."""
        binary, *rest = java(self.library, self.kind, heap=("32m", "64m"))
        # The tool keeps a history in the user's folder.
        own = [f"@{TEMPLATES / self.kind / 'jvm.options'}", f"-Duser.home={self.data_dir}"]
        tool = [binary, *own, *rest, "org.apache.cassandra.tools.NodeTool"]
        tool += ["-h", "127.0.0.1", "-p", str(self.ports["jmx"]), "sjk", "mx", "-ms", "-b", SETTINGS]
        for name, value in limits.items():
            subprocess.run([*tool, "-f", name, "-v", str(value)], check=True, capture_output=True)


@contextmanager
def no_permission(server: RefusingCassandra) -> Iterator[None]:
    # Also those that the role has because it made the keyspaces and tables.
    execute(server, f"DELETE FROM system_auth.role_permissions WHERE role = '{ROLE}'")
    try:
        yield
    finally:
        execute(server, f"GRANT ALL ON ALL KEYSPACES TO {ROLE}")


@contextmanager
def overloaded(server: RefusingCassandra) -> Iterator[None]:
    """One request a second is served; the others are refused as OVERLOADED."""
    server.set(
        NativeTransportThrowOnOverload=True,
        NativeTransportMaxRequestsPerSecond=1,
        NativeTransportRateLimitingEnabled=True,
    )
    try:
        yield
    finally:
        server.set(NativeTransportRateLimitingEnabled=False)


@contextmanager
def full_disk(server: RefusingCassandra) -> Iterator[None]:
    """The node stops serving; its operator frees the disk and starts it again."""
    with filled(server.data_dir / "commitlog"):
        yield
    server.stop()
    server.start()
    server.wait_ready()


def execute(server: RefusingCassandra, *statements: str) -> None:
    """Run the statements as the administrator."""
    login = PlainTextAuthProvider(ADMIN, ADMIN)
    with Cluster(["127.0.0.1"], server.port, auth_provider=login, protocol_version=5) as cluster:
        session = cluster.connect()
        for statement in statements:
            session.execute(statement)


def make_role(server: RefusingCassandra) -> None:
    def made() -> bool:
        try:
            execute(
                server,
                f"CREATE ROLE IF NOT EXISTS {ROLE} WITH PASSWORD = '{PASSWORD}' AND LOGIN = true",
                f"GRANT ALL ON ALL KEYSPACES TO {ROLE}",
            )
        except NoHostAvailable:
            return False
        return True

    wait_until("the first role exists", made, START_S)


@contextmanager
def second_node(stack: Stack) -> Iterator[RefusingCassandra]:
    """A running node in a cluster of its own, which has the role."""
    chosen: dict[str, int] = {}
    for port in (NAME, f"{NAME}_storage", "jmx"):
        chosen[port] = ports.unused(chosen.values())
    server = RefusingCassandra(stack.home, shared_library(), chosen, dies_with_parent=True, name=NAME)
    server.start()
    try:
        server.wait_ready()
        make_role(server)
        yield server
    finally:
        server.stop()


@contextmanager
def refusing_cassandra(stack: Stack) -> Iterator[Refusing]:
    """A second node, whose commit log has a small disk."""
    with (
        small_disk(stack.home.data / NAME / "commitlog", COMMIT_LOG_BYTES),
        second_node(stack) as server,
    ):
        yield Refusing(
            environment_of(server.port),
            {
                "no permission": partial(no_permission, server),
                "overloaded": partial(overloaded, server),
                "disk full": partial(full_disk, server),
            },
        )


def environment_of(port: int) -> dict[str, str]:
    return {
        "SHUTTERLINE_CASSANDRA": f"127.0.0.1:{port}",
        "SHUTTERLINE_CASSANDRA_USERNAME": ROLE,
        "SHUTTERLINE_CASSANDRA_PASSWORD": PASSWORD,
    }
