"""The shield: one cache between the CDN edges and S3, so that S3 is asked once for what all edges miss."""

from collections.abc import Mapping

from infra.local.credentials import load_or_make
from infra.local.servers.cache import CacheServer
from infra.local.servers.s3 import MEDIA_BUCKET, REGION


class ShieldServer(CacheServer):
    """Serves CDN edges only, which it knows by their secret; reads S3 with a read-only key."""

    kind = "shield"

    def facts(self) -> Mapping[str, object]:
        credentials = load_or_make(self.home.secrets)
        return {
            **super().facts(),
            "edge_secret": credentials.edge_secret,
            "s3_host": f"127.0.0.1:{self._own_port('s3')}",
            "s3_bucket": MEDIA_BUCKET,
            "s3_region": REGION,
            "s3_access_key": credentials.s3_read_access_key,
            "s3_secret_key": credentials.s3_read_secret_key,
        }

    def values(self) -> Mapping[str, object]:
        return {**super().values(), "s3": self._own_port("s3")}
