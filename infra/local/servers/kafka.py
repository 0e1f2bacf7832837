"""Kafka: one node that is broker and controller."""

import base64
import secrets
import subprocess
from collections.abc import Sequence
from pathlib import Path

from infra.local.errors import StackError
from infra.local.paths import TEMPLATES
from infra.local.servers import probes
from infra.local.servers.java import java
from infra.local.servers.server import Server


class KafkaServer(Server):
    """A record is written to the kernel before it is acknowledged, so it survives a kill -9."""

    kind = "kafka"

    def configure(self) -> None:
        """Write the properties; format the data folder the first time."""
        properties = self._write_conf(
            "server.properties",
            port=self.port,
            controller_port=self.ports["kafka_controller"],
            data=self.data_dir,
        )
        if not (self.data_dir / "meta.properties").exists():
            self._format(properties)

    def command(self) -> Sequence[str]:
        properties = self._conf_dir / "server.properties"
        return [*self._java(heap=("128m", "512m")), "kafka.Kafka", str(properties)]

    def responds(self) -> bool:
        return probes.kafka_responds(self.port)

    def _java(self, heap: tuple[str, str]) -> list[str]:
        line = java(self.library, self.kind, heap=heap)
        logging = TEMPLATES / self.kind / "log4j2.properties"
        own = ["-Xss512k", "-Dlog4j2.disableJmx=true", f"-Dlog4j2.configurationFile={logging.as_uri()}"]
        return [line[0], *own, *line[1:]]

    def _format(self, properties: Path) -> None:
        tool = ["kafka.tools.StorageTool", "format", "--ignore-formatted"]
        done = subprocess.run(
            [*self._java(heap=("32m", "64m")), *tool, "-t", _cluster_id(), "-c", str(properties)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise StackError(f"Kafka cannot format {self.data_dir}:\n{done.stdout.strip()}")


def _cluster_id() -> str:
    """16 random bytes in Kafka's base64, which must not look like an option."""
    while True:
        text = base64.urlsafe_b64encode(secrets.token_bytes(16)).decode().rstrip("=")
        if not text.startswith("-"):
            return text
