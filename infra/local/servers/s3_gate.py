"""The gate of S3: the one address of S3 that programs, upstream apps and browsers know."""

from collections.abc import Mapping

from infra.local.cors import allowed_origins
from infra.local.credentials import load_or_make
from infra.local.paths import TEMPLATES
from infra.local.servers import probes
from infra.local.servers.nginx import NginxServer
from infra.local.servers.s3 import MEDIA_BUCKET, REGION


class S3GateServer(NginxServer):
    """Checks signatures as the real service does, and lets through the operations that this system needs.

    The store behind it honours headers that are not signed. It trusts a key that only the gate has.
    """

    kind = "s3_gate"
    conf = TEMPLATES / "s3"

    @property
    def port(self) -> int:
        return self._own_port("s3")

    def facts(self) -> Mapping[str, object]:
        credentials = load_or_make(self.home.secrets)
        return {
            "s3_bucket": MEDIA_BUCKET,
            "s3_region": REGION,
            "s3_access_key": credentials.s3_access_key,
            "s3_secret_key": credentials.s3_secret_key,
            "s3_read_access_key": credentials.s3_read_access_key,
            "s3_read_secret_key": credentials.s3_read_secret_key,
            "store_host": f"127.0.0.1:{self.ports['s3_store']}",
            "store_access_key": credentials.s3_store_access_key,
            "store_secret_key": credentials.s3_store_secret_key,
            "cors_origins": allowed_origins(),
        }

    def values(self) -> Mapping[str, object]:
        return {"shared": TEMPLATES / "edge", "store": self.ports["s3_store"]}

    def responds(self) -> bool:
        return probes.http_responds(f"127.0.0.1:{self.port}", "/healthz")
