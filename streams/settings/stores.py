"""The stores: addresses, credentials and timeouts."""

from pathlib import Path

from pydantic import Field, PositiveInt, SecretStr

from streams.settings.feed import EdgeSettings, TimelineSettings
from streams.settings.media import UploadRateSettings
from streams.settings.part import BreakerSettings, Namespaced, SizeSettings


class CassandraSettings(Namespaced, BreakerSettings):
    """The database: `host:port`, with commas between."""

    cassandra: str = "127.0.0.1:9042"
    cassandra_username: str = ""
    cassandra_password: SecretStr = SecretStr("")
    cassandra_tls_ca: Path | None = None
    cassandra_datacenter: str = "datacenter1"
    cassandra_replication: PositiveInt = 1


class RedisSettings(Namespaced, BreakerSettings):
    """Timelines and the cache. Of a cluster, `redis` may have several `host:port`, with commas between."""

    redis: str = "redis://127.0.0.1:6379/0"
    redis_cluster: bool = False


class S3Settings(Namespaced, BreakerSettings):
    """The media bucket."""

    s3: str = "http://127.0.0.1:9000"
    s3_bucket: str = "shutterline-media"
    s3_access_key: str = ""
    s3_secret_key: SecretStr = SecretStr("")
    s3_region: str = "us-east-1"
    media_timeout_ms: PositiveInt = 10_000  # For a transfer.
    media_look_timeout_ms: PositiveInt = 1_000  # For what moves no bytes.


class CdnSettings(BreakerSettings):
    """The CDN. `edges` are the addresses of the status ports, with commas between: the shield, then edges."""

    edges: str = ""
    edge_secret: SecretStr = SecretStr("")
    edge_timeout_ms: PositiveInt = 5_000


class WarmSettings(CdnSettings):
    """Keeping popular objects in the CDN."""

    edge_views: str = ""  # The folders of the edges' view logs, with commas between.
    warm_share: float = Field(default=0.0001, gt=0, le=1)  # Of all objects.
    warm_in_flight_max: PositiveInt = 8


class StoreSettings(
    CassandraSettings,
    RedisSettings,
    S3Settings,
    CdnSettings,
    TimelineSettings,
    EdgeSettings,
    UploadRateSettings,
    SizeSettings,
):
    """What connecting to the stores takes."""
