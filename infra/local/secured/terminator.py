"""TLS in front of Redis, whose packaged server has none, and of the gate of S3: nginx forwards bytes."""

from collections.abc import Mapping
from pathlib import Path

from infra.local.paths import TEMPLATES
from infra.local.secured.certificates import Authority
from infra.local.servers import probes
from infra.local.servers.nginx import NginxServer
from infra.local.servers.server import PLAIN


class TerminatorServer(NginxServer):
    """Listens at the port NAME for each port NAME_plain, at which the server NAME listens itself."""

    kind = "terminator"
    conf = TEMPLATES / "secured"

    @property
    def port(self) -> int:
        return next(iter(self.forwarded()))

    def forwarded(self) -> Mapping[int, int]:
        """The ports with TLS, and for each the one behind it."""
        return {
            self.ports[name.removesuffix(PLAIN)]: port
            for name, port in self.ports.items()
            if name.endswith(PLAIN)
        }

    @property
    def identity(self) -> Path:
        """The file with its private key and certificate."""
        return Authority(self.home.secrets).identity(self.name)

    def facts(self) -> Mapping[str, object]:
        return {}

    def values(self) -> Mapping[str, object]:
        servers = (
            f"server {{ listen 127.0.0.1:{port} ssl; proxy_pass 127.0.0.1:{behind}; }}"
            for port, behind in self.forwarded().items()
        )
        return {"identity": self.identity, "servers": "\n    ".join(servers)}

    def responds(self) -> bool:
        return all(map(probes.accepts, self.forwarded()))
