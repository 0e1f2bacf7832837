"""Cassandra with passwords over TLS, and the role that programs log in as."""

import time
from collections.abc import Sequence

from cassandra import DriverException
from pydantic import SecretStr

from infra.local.credentials import USER, load_or_make_logins
from infra.local.errors import StackError
from infra.local.secured.certificates import Authority
from infra.local.servers import probes
from infra.local.servers.cassandra import CassandraServer
from streams.errors import StoreMisconfigured, StoreUnavailable
from streams.settings import CassandraSettings
from streams.stores.cassandra.session import connect_to

# The role, and its password, that a new cluster has.
ADMIN = "cassandra"
# A node makes the first role after it answers.
ROLES_DEADLINE_S = 60.0
STATEMENT_S_MAX = 30.0
LOOK_S = 0.2


class SecuredCassandraServer(CassandraServer):
    """Clients log in. Nodes trust each other, on the loopback."""

    def configure(self) -> None:
        super().configure()
        identity = Authority(self.home.secrets).identity(self.name)
        self._append_conf(self._conf_dir / "cassandra.yaml", "secured.yaml", identity=identity)

    def command(self) -> Sequence[str]:
        binary, *rest = super().command()
        # Every node has the roles, so that programs log in while one is away.
        return [binary, f"-Dcassandra.system_auth.default_rf={len(self.peers)}", *rest]

    def responds(self) -> bool:
        return probes.cassandra_responds(self.port, Authority(self.home.secrets).file)


def make_roles(server: SecuredCassandraServer) -> None:
    """Give the administrator a password that is secret, and make the role of the programs. May be repeated.

    Raises:
        StackError: Cassandra did not let the administrator in within `ROLES_DEADLINE_S`.
    """
    password = load_or_make_logins(server.home.secrets).cassandra_admin_password
    deadline = time.monotonic() + ROLES_DEADLINE_S
    while True:
        for known in (password, ADMIN):
            try:
                _make_roles(server, known)
            except (StoreUnavailable, StoreMisconfigured, DriverException) as error:
                problem = error
            else:
                return
        if time.monotonic() > deadline:
            raise StackError(f"{server.name} made no roles within {ROLES_DEADLINE_S:g} s: {problem}")
        time.sleep(LOOK_S)


def _make_roles(server: SecuredCassandraServer, password: str) -> None:
    logins = load_or_make_logins(server.home.secrets)
    session = connect_to(
        None,
        CassandraSettings(
            cassandra=f"127.0.0.1:{server.port}",
            cassandra_username=ADMIN,
            cassandra_password=SecretStr(password),
            cassandra_tls_ca=Authority(server.home.secrets).file,
        ),
        STATEMENT_S_MAX,
    )
    try:
        session.execute(f"ALTER ROLE {ADMIN} WITH PASSWORD = '{logins.cassandra_admin_password}'")
        session.execute(
            f"CREATE ROLE IF NOT EXISTS {USER} WITH PASSWORD = '{logins.cassandra_password}' AND LOGIN = true"
        )
        session.execute(f"GRANT ALL ON ALL KEYSPACES TO {USER}")
    finally:
        session.cluster.shutdown()
