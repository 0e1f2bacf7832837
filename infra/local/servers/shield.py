"""The shield: the one cache between the edges and S3, so that what all edges miss is fetched once."""

from collections.abc import Mapping

from infra.local.credentials import load_or_make
from infra.local.servers.nginx import NginxServer
from infra.local.servers.s3 import MEDIA_BUCKET, REGION


class ShieldServer(NginxServer):
    """Answers edges alone, by their secret; asks S3 with a key that can only read."""

    kind = "shield"

    def facts(self) -> Mapping[str, object]:
        credentials = load_or_make(self.home.secrets)
        return {
            "edge_secret": credentials.edge_secret,
            "s3_host": f"127.0.0.1:{self.ports['s3']}",
            "s3_bucket": MEDIA_BUCKET,
            "s3_region": REGION,
            "s3_access_key": credentials.s3_read_access_key,
            "s3_secret_key": credentials.s3_read_secret_key,
        }

    def values(self) -> Mapping[str, object]:
        return {"s3": self.ports["s3"]}
