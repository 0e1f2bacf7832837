"""Every setting and limit, with its unit; read once, at the entry point.

Each is an environment variable `SHUTTERLINE_` plus its name in capitals. Where a
variable is not set, the file `.local/shutterline.env` that `shutterline up` writes
is read, so commands typed beside a local stack find it by themselves.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Self

from pydantic import Field, PositiveFloat, PositiveInt, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from streams.core.renditions import RenditionFormat

LOCAL_ENVIRONMENT = Path(".local/shutterline.env")


class _Part(BaseSettings):
    """Part of the settings: what one purpose needs."""

    model_config = SettingsConfigDict(env_prefix="SHUTTERLINE_", extra="ignore", frozen=True)


class Namespaced(_Part):
    """A prefix of topics, groups, Redis keys and the keyspace, so that several systems share a stack."""

    namespace: str = Field(default="", pattern=r"^([a-z][a-z0-9]{0,30}\.)?$")

    @property
    def object_prefix(self) -> str:
        """The prefix of all keys of this system's own objects in the media bucket."""
        return "shutterline" + (f"-{self.namespace.rstrip('.')}" if self.namespace else "") + "/"

    @property
    def keyspace(self) -> str:
        """The Cassandra keyspace of this namespace."""
        return "shutterline" + (f"_{self.namespace.rstrip('.')}" if self.namespace else "")


class ProcessSettings(_Part):
    """The name of this process, the folder where it writes the port of its metrics, and how it ends."""

    process: str = "worker"
    run_dir: Path = Path(".local/run")
    stop_s_max: PositiveInt = 9  # From SIGTERM to the end, whatever the process is doing.


class BreakerSettings(_Part):
    """When a store that fails, or one slow key of it, is left alone, and for how long."""

    breaker_failures_max: PositiveInt = 5  # Different keys, if they are at least half of the recent ones.
    breaker_open_ms: PositiveInt = 1_000
    breaker_window_ms: PositiveInt = 10_000  # Older outcomes do not count.
    breaker_key_failures_max: PositiveInt = 3  # In a row, of one key, such as a partition.
    breaker_keys_max: PositiveInt = 10_000  # Failing keys that a process remembers.


class RetrySettings(_Part):
    """How an operation is retried while its store is unavailable."""

    store_attempts_max: PositiveInt = 4
    store_wait_s_max: PositiveInt = 5


# What every one of our Kafka clients understands; `kafka/clients.py` translates it.
KAFKA_SECURITY_VALUES: Mapping[str, Sequence[str] | None] = MappingProxyType(
    {
        "security.protocol": ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"),
        "sasl.mechanism": ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"),
        "sasl.username": None,
        "sasl.password": None,
        "ssl.ca.location": None,
        "ssl.certificate.location": None,
        "ssl.key.location": None,
        "ssl.key.password": None,
        "ssl.endpoint.identification.algorithm": ("https", "none"),
    }
)


class KafkaSettings(Namespaced, BreakerSettings):
    """The brokers: `host:port`, with commas between. TLS and credentials: JSON, with librdkafka's names."""

    kafka: str = "127.0.0.1:9092"
    kafka_security: dict[str, str] = Field(default_factory=dict)  # For example security.protocol.
    kafka_replicas: PositiveInt = 1  # Of each topic that `shutterline topics` creates.

    @field_validator("kafka_security")
    @classmethod
    def _is_understood(cls, security: dict[str, str]) -> dict[str, str]:
        for name, value in security.items():
            if name not in KAFKA_SECURITY_VALUES:
                raise ValueError(f"{name!r} is not one of {', '.join(KAFKA_SECURITY_VALUES)}")
            values = KAFKA_SECURITY_VALUES[name]
            if values is not None and value not in values:
                raise ValueError(f"{name} is {value!r}; it must be one of {', '.join(values)}")
        return security


class ConsumerSettings(KafkaSettings, ProcessSettings):
    """Consumer groups."""

    session_timeout_s: PositiveInt = 6
    heartbeat_ms: PositiveInt = 300  # A group learns of a member that left or joined with a heartbeat.
    commit_interval_ms: PositiveInt = 1_000
    watchdog_s: PositiveInt = 60


class CassandraSettings(Namespaced, BreakerSettings):
    """The database: `host:port`, with commas between."""

    cassandra: str = "127.0.0.1:9042"
    cassandra_username: str = ""
    cassandra_password: SecretStr = SecretStr("")
    cassandra_tls_ca: Path | None = None
    cassandra_datacenter: str = "datacenter1"
    cassandra_replication: PositiveInt = 1


class RedisSettings(Namespaced, BreakerSettings):
    """Timelines and the cache."""

    redis: str = "redis://127.0.0.1:6379/0"


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


class EventSettings(Namespaced):
    """The `ce_source` of the events that the API publishes."""

    event_source: str = "/shutterline/api"


class PhotoUrlSettings(_Part):
    """Photo URLs: CloudFront's canned policy, signed with RSA."""

    media_url: str = "http://127.0.0.1:8080"
    media_key_id: str = "local"
    media_private_key: Path = Path(".local/media-key.pem")
    media_url_life_s_min: PositiveInt = 1_800
    media_url_life_s_max: PositiveInt = 3_600


class TokenSettings(_Part):
    """Who may call the API."""

    jwt_secret: SecretStr = SecretStr("")
    jwks: str = ""  # An https:// address or a file; http:// only on this machine.
    jwks_refresh_s: PositiveInt = 20  # A key that left the set is refused after this time.
    jwks_fetch_s_max: PositiveInt = 5  # For the whole of a fetch.
    jwks_bytes_max: PositiveInt = 1_048_576
    jwks_stale_s_max: PositiveInt = 3_600  # A set that cannot be fetched again is used this long.
    jwt_issuer: str = ""
    jwt_audience: str = ""  # Required with a key set.
    jwt_leeway_s: PositiveInt = 30
    jwt_life_s_max: PositiveInt = 86_400
    revocations_refresh_ms: PositiveInt = 2_000
    revocations_stale_s_max: PositiveInt = 3_600  # Then requests are 503, as nothing vouches for tokens.
    revocations_max: PositiveInt = 10_000  # Every API process has all of them in memory.
    ops_open: bool = False


class ShareSettings(_Part):
    """How much of a bound one user and one address may hold: so many times what is still free."""

    user_share: float = Field(default=0.25, gt=0)  # One user alone gets a fifth of all.
    address_share: float = Field(default=1.0, gt=0)  # One address alone gets half of all.


class RequestSettings(ShareSettings):
    """Limits of a request, and of all requests of a process."""

    request_deadline_ms: PositiveInt = 2_000
    requests_in_flight_max: PositiveInt = 512
    bodies_arriving_max: PositiveInt = (
        512  # Small bodies, which are read before a request counts as in flight.
    )
    retry_after_s_max: PositiveInt = 30
    request_body_bytes_max: PositiveInt = 65_536


class ConnectionSettings(_Part):
    """Limits of the connections to an API process."""

    # The request line and all headers; then 431.
    request_head_bytes_max: PositiveInt = 32_768
    # From the first byte of a request to the end of its headers; also of a new connection without a request.
    request_head_s_max: PositiveFloat = 10
    # Load balancers keep idle connections for a minute. If we closed them first, a request that is under
    # way could arrive at a closed connection.
    connection_idle_s_max: PositiveFloat = 75
    # Requests that wait for the response to an earlier one; what follows them is read later.
    pipelined_requests_max: PositiveInt = 100
    connections_per_address_max: int = Field(default=1_000, ge=0)  # 0 is no limit.
    # Networks without that limit, with commas between: load balancers have many connections.
    connections_uncounted: str = "127.0.0.0/8,::1"
    # The origins whose pages may call the API from a browser, with commas between; none by default.
    cors_origins: str = ""


class RateSettings(_Part):
    """How fast one user and one address may call, over all processes. A bucket holds a burst of requests."""

    reads_per_s: PositiveInt = 100  # Of one user: GET and HEAD.
    reads_burst: PositiveInt = 500
    writes_per_s: PositiveInt = 20  # Of one user.
    writes_burst: PositiveInt = 200
    limits_by_address: bool = True  # Off in the local stack, whose clients all have one address.
    address_reads_per_s: PositiveInt = 1_000  # Many users can share one address.
    address_reads_burst: PositiveInt = 5_000
    address_writes_per_s: PositiveInt = 200
    address_writes_burst: PositiveInt = 2_000
    unauthorized_per_s: PositiveInt = 20  # Of one address: requests without a valid token.
    unauthorized_burst: PositiveInt = 200
    # The proxies in front of the API that append to X-Forwarded-For. With 0 the peer is the client.
    trusted_proxies: int = Field(default=0, ge=0)
    rate_buckets_max: PositiveInt = 100_000  # In the memory of one process, half a kilobyte each.


class CacheSettings(ShareSettings):
    """How long cached values live, and how many database reads may fill them at once."""

    pull_list_ids_max: PositiveInt = 100
    pull_list_copy_s: PositiveInt = 60
    photo_copy_s: PositiveInt = 86_400
    following_copy_s: PositiveInt = 86_400
    count_copy_s: PositiveInt = 30
    database_reads_in_flight_max: PositiveInt = 32


class FollowSettings(_Part):
    """How many users one user may follow over HTTP, and how often they may change their mind."""

    following_max: PositiveInt = 10_000
    # Rows of former followees, until they expire (`removed_edge_ttl_s`); then no new ones may be followed.
    removed_follows_max: PositiveInt = 20_000
    # So far below `following_max`, followees are counted again after a follow. At least as many as a user
    # can follow within the 5 s for which a process goes by its last count.
    following_verified: PositiveInt = 512


class FeedSettings(CacheSettings):
    """How a page of a feed is made."""

    feed_window_ids: PositiveInt = 500
    recent_follow_s: PositiveInt = 60
    pulled_authors_refresh_ms: PositiveInt = 1_000


class UploadSettings(Namespaced, ShareSettings):
    """Uploads over HTTP."""

    uploads_per_minute: PositiveInt = 5  # Of one user.
    upload_bytes_max: PositiveInt = 25_000_000
    upload_part_bytes: PositiveInt = 5 * 1_048_576  # More than this goes by parts; S3 wants no smaller ones.
    upload_url_life_s: PositiveInt = 900
    upload_life_s: PositiveInt = 3_600  # Then an unfinished one is aborted.
    upload_body_s_max: PositiveInt = 120  # For an image that is the request's own body.
    upload_idle_s_max: PositiveInt = 15  # Between two pieces of it.
    upload_bodies_in_flight_max: PositiveInt = 16  # Each costs 17 MB of memory: three parts.
    upload_bodies_of_user_max: PositiveInt = 2  # In one process.
    # Slower bodies are 408: less than so many bytes a second of waiting, after the first seconds.
    upload_bytes_per_s_min: PositiveInt = 4_096
    upload_slow_s_max: PositiveInt = 5
    idempotency_key_life_s: PositiveInt = 86_400
    renditions_queued_max: PositiveInt = 500_000  # A full task counts as three; above, uploads are refused.

    @model_validator(mode="after")
    def _lets_a_body_arrive(self) -> Self:
        # Otherwise the cleaning would remove what is still arriving.
        if self.upload_body_s_max >= self.upload_life_s:
            raise ValueError(f"{self.upload_body_s_max=} must be below {self.upload_life_s=}")
        return self


class OriginalSettings(_Part):
    """Waiting for an original that has not arrived."""

    original_wait_s_max: PositiveInt = 600
    original_poll_s: PositiveInt = 2
    parked_batch_photos_max: PositiveInt = 256


class RenditionSettings(Namespaced, OriginalSettings):
    """Making renditions. A decoder is a child process; `streams/media/limits.py` explains its limits."""

    rendition_format: RenditionFormat = RenditionFormat.JPEG
    thumbnail_children_max: PositiveInt = 2
    full_children_max: PositiveInt = 2
    # A batch's tasks wait for each other: few, so that one slow original delays few.
    renditions_batch_records_max: PositiveInt = 8
    renditions_poll_records_max: PositiveInt = 100
    renditions_buffer_records_max: PositiveInt = 1_000
    original_pixels_max: PositiveInt = 50_000_000
    original_side_pixels_max: PositiveInt = 16_384
    decoder_memory_bytes_max: PositiveInt = 112 * 1_048_576
    large_decoder_memory_bytes_max: PositiveInt = 512 * 1_048_576
    decoder_cpu_s_max: PositiveInt = 20
    thumbnail_decoder_wall_s_max: PositiveInt = 60
    full_decoder_wall_s_max: PositiveInt = 600  # Low priority: slow is not stuck.


class CleaningSettings(Namespaced):
    """Cleaning the media bucket. Unfinished uploads are removed after `upload_life_s`."""

    cleaning_interval_s: PositiveInt = 3_600
    cleaning_objects_max: PositiveInt = 200_000  # A run; the next goes on from there.
    cleaning_photos_max: PositiveInt = 20_000  # Likewise, with four questions to S3 a photo.
    cleaning_calls_in_flight_max: PositiveInt = 8  # So that readers and workers hardly notice.
    # Long enough for somebody to see a report and stop what is wrong: a day holds one working day.
    orphan_grace_s: PositiveInt = 86_400  # Since the object was put.
    rejected_original_grace_s: PositiveInt = 86_400  # Since the object was put.
    missing_grace_s: PositiveInt = 86_400  # Since its objects were first not found.


class DeliverySettings(_Part):
    """The hybrid of push and pull."""

    pull_followers_min: PositiveInt = 10_000
    push_again_followers_max: PositiveInt = 8_999
    celebrity_push_followers_max: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _leaves_a_gap(self) -> Self:
        # Without the gap between the two, an author at the threshold would flap.
        if not self.push_again_followers_max < self.pull_followers_min:
            raise ValueError(
                f"push_again_followers_max={self.push_again_followers_max} must be below "
                f"pull_followers_min={self.pull_followers_min}"
            )
        return self


class TimelineSettings(_Part):
    """Stored timelines and their rebuilds."""

    timeline_ids: PositiveInt = 500
    timeline_slots: PositiveInt = 600
    timeline_ttl_s: PositiveInt = 72 * 3600
    timeline_renew_s: PositiveInt = 3600
    fresh_s_max: PositiveInt = 60
    append_owners_max: PositiveInt = 500
    merge_owners_max: PositiveInt = 64
    rebuilds_per_s_max: PositiveInt = 1_000
    rebuilds_in_flight_max: PositiveInt = 16
    rebuild_ttl_ms: PositiveInt = 30_000

    @model_validator(mode="after")
    def _fits_the_ring(self) -> Self:
        if self.timeline_ids > self.timeline_slots:
            raise ValueError(f"timeline_ids={self.timeline_ids} must fit {self.timeline_slots=}")
        return self


class FanoutSettings(TimelineSettings):
    """The lanes of `fanout`."""

    bulk_calls_in_flight_max: PositiveInt = 2
    # While posts are being checked or delivered in the same process, bulk rests this many times as
    # long as each of its calls took: at 3 it has a quarter of the time.
    bulk_rest_ratio: int = Field(default=3, ge=0)
    bulk_rest_ms_max: PositiveInt = 500
    normal_calls_in_flight_max: PositiveInt = 8
    normal_poll_records_max: PositiveInt = 100
    normal_buffer_records_max: PositiveInt = 500
    bulk_poll_records_max: PositiveInt = 50
    bulk_buffer_records_max: PositiveInt = 1_000
    fanout_batch_records_max: PositiveInt = 16


class EdgeSettings(_Part):
    """Counted sets and the batch loop that writes them."""

    bucket_members_max: PositiveInt = 1_000
    backfill_follows_max: PositiveInt = 1_000
    # The generation of the topic `edges`; raise it whenever the topic is created again, so that
    # its offsets, which order the counts, go on rising.
    edges_generation: PositiveInt = 1
    edges_batch_records_max: PositiveInt = 10_000
    edges_linger_ms: PositiveInt = 200
    edges_rest_ms_max: PositiveInt = 1_000  # After a batch that took longer, as much longer.
    removed_edge_ttl_s: PositiveInt = 28 * 86_400
    removal_mark_ttl_s: PositiveInt = 600  # Of a removal over HTTP of an edge that has no row.


class DeadLetterSettings(_Part):
    """When a partition stops because of its dead letters."""

    dead_letters_in_a_row_max: PositiveInt = 100
    dead_letters_window_records: PositiveInt = 1_000
    dead_letters_ratio_max: float = Field(default=0.5, gt=0, le=1)
    # A source with at least this share of the dead letters that reach a limit is set aside instead.
    dead_letters_source_share_min: float = Field(default=0.9, gt=0.5, le=1)
    dead_letters_sources_set_aside_max: PositiveInt = 8  # Of a partition; then it stops.


class CheckSettings(DeadLetterSettings, EventSettings):
    """The check stage: batches in records."""

    uploads_batch_records_max: PositiveInt = 128  # Each is some calls to stores.
    check_batch_records_max: PositiveInt = 500  # Follows and likes: a batch is some calls.


class ApiSettings(_Part):
    """Where the API listens."""

    api: str = "http://127.0.0.1:8000"


class ClockSettings(_Part):
    """By how much this process's clock may differ from those of Redis, Cassandra and Kafka."""

    clock_compare_s: PositiveInt = 60
    clock_ready_difference_ms_max: PositiveInt = 500  # Above, the process is not ready.
    # Above, writes over HTTP are 503, and a worker handles no events of upstream apps.
    clock_write_difference_ms_max: PositiveInt = 5_000

    @model_validator(mode="after")
    def _warns_before_it_refuses(self) -> Self:
        ready, write = self.clock_ready_difference_ms_max, self.clock_write_difference_ms_max
        if ready > write:
            raise ValueError(
                f"clock_ready_difference_ms_max={ready} must not exceed clock_write_difference_ms_max={write}"
            )
        return self


class TimeoutSettings(_Part):
    """How long one operation on a store may take: in a request, in a worker."""

    store_timeout_ms: PositiveInt = 500
    worker_store_timeout_ms: PositiveInt = 10_000


class StoreSettings(
    CassandraSettings, RedisSettings, S3Settings, CdnSettings, TimelineSettings, EdgeSettings
):
    """What connecting to the stores takes."""

    uploads_per_minute: PositiveInt = 5  # Of one user.


class ApiProcessSettings(
    ApiSettings,
    ClockSettings,
    TimeoutSettings,
    StoreSettings,
    PhotoUrlSettings,
    TokenSettings,
    RequestSettings,
    ConnectionSettings,
    RateSettings,
    FollowSettings,
    FeedSettings,
    UploadSettings,
    EventSettings,
    KafkaSettings,
    ProcessSettings,
):
    """What an API process is composed of."""


class Settings(
    ApiProcessSettings,
    ConsumerSettings,
    RetrySettings,
    RenditionSettings,
    CleaningSettings,
    DeliverySettings,
    FanoutSettings,
    CheckSettings,
    WarmSettings,
):
    """Every setting of a process. `load()` reads them from the environment.

    A function takes the part that it needs, and is given all of it: the type checker sees to it
    that it reads nothing else.
    """

    @model_validator(mode="after")
    def _buffers_hold_polls(self) -> Self:
        # A larger poll fills the buffer of every partition at once and stalls the whole app.
        for lane in ("normal", "bulk", "renditions"):
            poll = getattr(self, f"{lane}_poll_records_max")
            buffer = getattr(self, f"{lane}_buffer_records_max")
            if poll * 5 > buffer:
                raise ValueError(f"{lane}_poll_records_max={poll} must be at most a fifth of {buffer}")
        return self


def load(**overrides: object) -> Settings:
    """Read the settings: overrides, then the environment, then the local stack's file."""
    return Settings(_env_file=LOCAL_ENVIRONMENT if LOCAL_ENVIRONMENT.exists() else None, **overrides)  # type: ignore[arg-type]  # pydantic-settings checks them
