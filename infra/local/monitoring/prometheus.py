"""Prometheus, with the rules of `infra/monitoring/prometheus`."""

import json
from collections.abc import Sequence

from infra.local.layout import ALERTMANAGER
from infra.local.monitoring.programs import PROMETHEUS_NAMES, program
from infra.local.paths import PROJECT
from infra.local.servers import probes
from infra.local.servers.server import Server

RULES = PROJECT / "infra" / "monitoring" / "prometheus" / "rules"
# The longest window of the rules is 3 days.
RETENTION = "4d"


class PrometheusServer(Server):
    """It scrapes every process whose run folder has its address, also those that are started later."""

    kind = "prometheus"

    def configure(self) -> None:
        self._write_conf(
            "prometheus.yml",
            rules=json.dumps(f"{RULES}/*.yml"),
            targets=json.dumps(f"{self.home.run}/*.target.json"),
            alertmanager=json.dumps(f"127.0.0.1:{self.ports[ALERTMANAGER]}"),
        )

    def command(self) -> Sequence[str]:
        return [
            program(PROMETHEUS_NAMES),
            f"--config.file={self._conf_dir / 'prometheus.yml'}",
            f"--storage.tsdb.path={self.data_dir}",
            f"--storage.tsdb.retention.time={RETENTION}",
            "--enable-feature=exemplar-storage",
            f"--web.listen-address=127.0.0.1:{self.port}",
        ]

    def responds(self) -> bool:
        return probes.http_responds(f"127.0.0.1:{self.port}", "/-/ready")
