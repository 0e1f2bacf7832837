"""S3: s3proxy over a local folder, with the media bucket in it."""

import os
import stat
from collections.abc import Sequence
from pathlib import Path

from infra.local.credentials import load_or_make
from infra.local.paths import PRIVATE_MODE, TEMPLATES, private_folder
from infra.local.servers import probes
from infra.local.servers.java import java
from infra.local.servers.server import Server

MEDIA_BUCKET = "shutterline-media"
REGION = "us-east-1"


class S3Server(Server):
    """The store behind the gate (`s3_gate`), which alone has its key. GET /metrics counts requests."""

    kind = "s3"

    @property
    def port(self) -> int:
        return self.ports["s3_store"]

    def configure(self) -> None:
        make_private(self.data_dir / MEDIA_BUCKET)  # A bucket is a folder.
        credentials = load_or_make(self.home.secrets)
        self._write_conf(
            "s3proxy.conf",
            port=self.port,
            data=self.data_dir,
            access_key=credentials.s3_store_access_key,
            secret_key=credentials.s3_store_secret_key,
        )

    def command(self) -> Sequence[str]:
        line = java(self.library, self.kind, heap=("64m", "256m"))
        own = ["-Xss512k", f"-Dlogback.configurationFile={TEMPLATES / self.kind / 'logback.xml'}"]
        main = ["org.gaul.s3proxy.Main", "--properties", str(self._conf_dir / "s3proxy.conf")]
        return [line[0], *own, *line[1:], *main]

    def responds(self) -> bool:
        return probes.http_responds(f"127.0.0.1:{self.port}", "/healthz")


def make_private(bucket: Path) -> None:
    """Take away what others may do with the bucket and its objects.

    The store reads permissions of files as ACLs: if others may read a folder, anybody may list its keys.
    An earlier version left buckets so, and published objects whose uploader asked for it.
    """
    if bucket.exists() and stat.S_IMODE(bucket.stat().st_mode) == PRIVATE_MODE:
        return
    for folder, _, files in os.walk(bucket):
        if folder != str(bucket):
            os.chmod(folder, PRIVATE_MODE)
        for name in files:
            os.chmod(os.path.join(folder, name), 0o600)
    private_folder(bucket)  # Last, so that a start that is killed half-way is repeated.
