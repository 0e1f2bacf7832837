"""The stores: addresses, TLS, credentials and timeouts.

Each `*_tls_ca` is a PEM file of the authorities that may have signed the store's certificate. The chain and
the host's name are always verified.
"""

import ssl
from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, Field, FilePath, PositiveInt, SecretStr, model_validator

from streams.settings.feed import EdgeSettings, TimelineSettings
from streams.settings.media import UploadRateSettings
from streams.settings.part import BreakerSettings, Namespaced, SizeSettings


def _has_certificates(file: Path) -> Path:
    try:
        ssl.create_default_context(cafile=file)
    except ssl.SSLError as error:
        raise ValueError(f"{file} has no certificates in PEM") from error
    return file


AuthorityFile = Annotated[FilePath, AfterValidator(_has_certificates)]


class CassandraSettings(Namespaced, BreakerSettings):
    """The database: `host:port`, with commas between. With `cassandra_tls_ca` over TLS, otherwise not."""

    cassandra: str = "127.0.0.1:9042"
    cassandra_username: str = ""
    cassandra_password: SecretStr = SecretStr("")
    cassandra_tls_ca: AuthorityFile | None = None
    cassandra_datacenter: str = "datacenter1"
    cassandra_replication: PositiveInt = 1


class RedisSettings(Namespaced, BreakerSettings):
    """Timelines and the cache. Of a cluster, `redis` may have several `host:port`, with commas between."""

    redis: str = "redis://127.0.0.1:6379/0"  # Or `rediss://USER:PASSWORD@HOST:PORT/0`.
    redis_tls_ca: AuthorityFile | None = None  # Of `rediss://`; otherwise the system's authorities count.
    redis_cluster: bool = False

    @model_validator(mode="after")
    def _redis_uses_its_authority(self) -> Self:
        if self.redis_tls_ca is not None and not self.redis.startswith("rediss://"):
            raise ValueError("redis must begin with rediss:// where redis_tls_ca is set")
        return self


class S3Settings(Namespaced, BreakerSettings):
    """The media bucket."""

    s3: str = "http://127.0.0.1:9000"
    s3_tls_ca: AuthorityFile | None = None  # Of `https://`; otherwise the public authorities count.
    s3_bucket: str = "shutterline-media"
    s3_access_key: str = ""
    s3_secret_key: SecretStr = SecretStr("")
    s3_region: str = "us-east-1"
    media_timeout_ms: PositiveInt = 10_000  # For a transfer.
    media_look_timeout_ms: PositiveInt = 1_000  # For what moves no bytes.

    @model_validator(mode="after")
    def _s3_uses_its_authority(self) -> Self:
        if self.s3_tls_ca is not None and not self.s3.startswith("https://"):
            raise ValueError("s3 must begin with https:// where s3_tls_ca is set")
        return self


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
