"""What CDN edges and shield have in common: an nginx with caches of photos and a status port."""

from collections.abc import Mapping
from pathlib import Path

from infra.local.paths import TEMPLATES, private_folder
from infra.local.servers import probes
from infra.local.servers.nginx import NginxServer
from streams.metrics_file import write_address


class CacheServer(NginxServer):
    """Serves photos at `port`, and /healthz, /metrics, /purge and /objects/KEY at `status_port`.

    Its log has nginx's own messages. The views are logged in files of 16 MiB, of which the last eight are
    stored (`edge/upkeep.js`).
    """

    conf = TEMPLATES / "edge"

    @property
    def status_port(self) -> int:
        return self.ports[f"{self.name}_status"]

    @property
    def status_address(self) -> str:
        return f"127.0.0.1:{self.status_port}"

    @property
    def views_dir(self) -> Path:
        """The folder of the logs of views."""
        return self.data_dir / "logs"

    def start(self, extra_environment: Mapping[str, str] | None = None) -> bool:
        started = super().start(extra_environment)
        write_address(self.home.run, self.name, self.status_address)
        return started

    def configure(self) -> None:
        private_folder(self.data_dir / "cache")
        super().configure()

    def facts(self) -> Mapping[str, object]:
        return {
            "role": self.kind,
            "cache": str(self.data_dir / "cache"),
            "views": str(self.views_dir / "views.log"),
        }

    def values(self) -> Mapping[str, object]:
        return {"status_port": self.status_port}

    def responds(self) -> bool:
        return probes.http_responds(self.status_address, "/healthz")
