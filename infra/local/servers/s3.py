"""S3: s3proxy over a local folder, with the media bucket in it."""

from collections.abc import Sequence

from infra.local.credentials import load_or_make
from infra.local.paths import TEMPLATES
from infra.local.servers import probes
from infra.local.servers.java import java
from infra.local.servers.server import Server

MEDIA_BUCKET = "shutterline-media"
REGION = "us-east-1"


class S3Server(Server):
    """Signatures are checked as in the real service; a request without one is refused.

    Two keys: one for our programs, and one that can only read, for the shield. GET /metrics counts requests.
    """

    kind = "s3"

    def configure(self) -> None:
        (self.data_dir / MEDIA_BUCKET).mkdir(exist_ok=True)  # A bucket is a folder.
        credentials = load_or_make(self.home.secrets)
        where = {"port": self.port, "data": self.data_dir}
        self._write_conf(
            "s3proxy.conf",
            access_key=credentials.s3_access_key,
            secret_key=credentials.s3_secret_key,
            **where,
        )
        self._write_conf(
            "s3proxy-read.conf",
            access_key=credentials.s3_read_access_key,
            secret_key=credentials.s3_read_secret_key,
            **where,
        )

    def command(self) -> Sequence[str]:
        line = java(self.library, self.kind, heap=("64m", "256m"))
        own = ["-Xss512k", f"-Dlogback.configurationFile={TEMPLATES / self.kind / 'logback.xml'}"]
        main = ["org.gaul.s3proxy.Main"]
        for file in ("s3proxy.conf", "s3proxy-read.conf"):
            main += ["--properties", str(self._conf_dir / file)]
        return [line[0], *own, *line[1:], *main]

    def responds(self) -> bool:
        return probes.http_responds(f"127.0.0.1:{self.port}", "/healthz")
