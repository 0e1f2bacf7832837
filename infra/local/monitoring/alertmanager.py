"""Alertmanager, with the routes of `infra/monitoring/alertmanager`."""

from collections.abc import Sequence

from infra.local.monitoring.programs import ALERTMANAGER_NAMES, program
from infra.local.paths import PROJECT
from infra.local.servers import probes
from infra.local.servers.server import Server

CONFIG = PROJECT / "infra" / "monitoring" / "alertmanager" / "alertmanager.yml"


class AlertmanagerServer(Server):
    """It has no integrations: its pages and its API show what would be sent to whom."""

    kind = "alertmanager"

    def configure(self) -> None:
        """Nothing: it reads the product's own file."""

    def command(self) -> Sequence[str]:
        return [
            program(ALERTMANAGER_NAMES),
            f"--config.file={CONFIG}",
            f"--storage.path={self.data_dir}",
            f"--web.listen-address=127.0.0.1:{self.port}",
            "--cluster.listen-address=",  # It is alone. Otherwise it would listen beyond the loopback.
        ]

    def responds(self) -> bool:
        return probes.http_responds(f"127.0.0.1:{self.port}", "/-/ready")
