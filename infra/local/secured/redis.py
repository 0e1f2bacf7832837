"""Redis with a user of its access control list; TLS is that of the terminator in front of it."""

from collections.abc import Sequence
from typing import Any

from redis import Redis

from infra.local.credentials import USER, load_or_make_logins
from infra.local.errors import StackError
from infra.local.servers import probes
from infra.local.servers.redis import RedisServer, packaged_binary
from infra.local.servers.redis_cluster import RedisClusterServer


class SecuredRedisServer(RedisServer):
    """Nobody gets in without the password; a replica logs in to its primary with it, too."""

    def configure(self) -> None:
        super().configure()
        self._append_conf(self._conf_dir / "redis.conf", "secured.conf", user=USER, password=self._password)

    def responds(self) -> bool:
        return probes.redis_responds(self.port, (USER, self._password))

    @property
    def _password(self) -> str:
        return load_or_make_logins(self.home.secrets).redis_password


class SecuredRedisClusterServer(SecuredRedisServer, RedisClusterServer):
    """Tells clients the port of the terminator, and other servers its own."""

    def configure(self) -> None:
        super().configure()
        self._append_conf(self._conf_dir / "cluster.conf", "secured_cluster.conf", port=self.ports[self.name])

    def command(self) -> Sequence[str]:
        _, conf = super().command()
        packaged = packaged_binary()
        if packaged is None:
            raise StackError("a secured cluster needs Valkey 9, which is packaged for x86_64 and aarch64")
        return [str(packaged), conf]

    def client(self) -> Any:
        return Redis(port=self.port, username=USER, password=self._password)
