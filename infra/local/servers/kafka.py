"""Kafka: nodes that are broker and controller, one or several."""

import base64
import secrets
import subprocess
from collections.abc import Sequence
from itertools import count
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
        properties = self._write_properties()
        if not (self.data_dir / "meta.properties").exists():
            self._format(properties)

    def command(self) -> Sequence[str]:
        properties = self._conf_dir / "server.properties"
        return [*self._java(heap=("128m", "512m")), "kafka.Kafka", str(properties)]

    def responds(self) -> bool:
        return probes.kafka_responds(self.port)

    def _write_properties(self) -> Path:
        numbered = list(enumerate(self.peers, start=1))
        return self._write_conf(
            "server.properties",
            port=self.port,
            number=next(number for number, name in numbered if name == self.name),
            voters=",".join(f"{number}@127.0.0.1:{self._controller_port(name)}" for number, name in numbered),
            controller_port=self._controller_port(self.name),
            data=self.data_dir,
            replicas=len(numbered),
            replicas_in_sync=min(2, len(numbered)),
            # A single broker has nobody to take over, and is busy for seconds while the others start.
            session_ms=3_000 if len(numbered) == 1 else 2_000,
            # If all nodes are stopped at once, each would wait for one to take over.
            hands_over=str(len(numbered) == 1).lower(),
        )

    def _controller_port(self, name: str) -> int:
        return self.ports[f"{name}_controller"]

    def _java(self, heap: tuple[str, str]) -> list[str]:
        line = java(self.library, self.kind, heap=heap)
        logging = TEMPLATES / self.kind / "log4j2.properties"
        own = ["-Xss512k", "-Dlog4j2.disableJmx=true", f"-Dlog4j2.configurationFile={logging.as_uri()}"]
        return [line[0], *own, *line[1:]]

    def _format(self, properties: Path) -> None:
        tool = ["kafka.tools.StorageTool", "format", "--ignore-formatted", *self._format_options()]
        done = subprocess.run(
            [*self._java(heap=("32m", "64m")), *tool, "-t", self._cluster_id(), "-c", str(properties)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise StackError(f"Kafka cannot format {self.data_dir}:\n{done.stdout.strip()}")

    def _format_options(self) -> Sequence[str]:
        return ()

    def _cluster_id(self) -> str:
        """16 random bytes in Kafka's base64, of all peers; the first that is formatted makes them."""
        file = self.home.data / f"{self.peers[0]}.cluster"
        if not file.exists():
            # A text that begins with a dash would look like an option.
            ids = (base64.urlsafe_b64encode(secrets.token_bytes(16)).decode().rstrip("=") for _ in count())
            file.write_text(next(text for text in ids if not text.startswith("-")))
        return file.read_text()
