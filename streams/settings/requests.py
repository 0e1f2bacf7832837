"""Requests to the API: who calls, how fast, and within which bounds."""

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, SecretStr

from streams.settings.part import Part


class TokenSettings(Part):
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
    revocations_refresh_ms: PositiveInt = 5_000  # A revocation must have its effect within 30 s.
    revocations_stale_s_max: PositiveInt = 3_600  # Then requests are 503, as nothing vouches for tokens.
    revocations_max: PositiveInt = 10_000  # Every API process has all of them in memory.
    ops_open: bool = False


class ShareSettings(Part):
    """How much of a bound one user and one address may hold: so many times what is still free."""

    user_share: float = Field(default=0.25, gt=0)  # One user alone gets a fifth of all.
    address_share: float = Field(default=1.0, gt=0)  # One address alone gets half of all.


class RequestSettings(ShareSettings):
    """Limits of a request, and of all requests of a process."""

    request_deadline_ms: PositiveInt = 2_000
    requests_in_flight_max: PositiveInt = 512
    # Of these, so many run at once; the others wait for their turn. All others share one core with them.
    user_requests_at_once: PositiveInt = 2
    address_requests_at_once: PositiveInt = 8
    bodies_arriving_max: PositiveInt = (
        512  # Small bodies, which are read before a request counts as in flight.
    )
    retry_after_s_max: PositiveInt = 30
    request_body_bytes_max: PositiveInt = 65_536


class OpsSettings(Part):
    """The pages below /ops."""

    # Browsers that are told of changes, of one process.
    ops_streams_max: PositiveInt = 20
    # Then the browser connects again. So a stream has a deadline as every request has.
    ops_stream_s_max: PositiveInt = 300
    ops_stream_interval_ms: PositiveInt = 2_000  # The monitor has a new sample as often.
    # Counting what a run over dead letters would do reads all of them. Above this time, use the command.
    ops_rehearsal_s_max: PositiveInt = 8
    ops_record_ms_max: PositiveInt = 1_500  # To read a record; less than a request's deadline.
    ops_records_read_at_once: PositiveInt = 4
    ops_value_bytes_max: PositiveInt = 16_384  # Of a record's value that is shown.


class ConnectionSettings(Part):
    """Limits of the connections to an API process."""

    # The request line and all headers; then 431.
    request_head_bytes_max: PositiveInt = 32_768
    # From the first byte of a request to the end of its headers; also of a new connection without a request.
    request_head_s_max: PositiveFloat = 10
    # Load balancers keep idle connections for a minute. If we closed them first, a request that is under
    # way could arrive at a closed connection. A response waits as long for its client to read.
    connection_idle_s_max: PositiveFloat = 75
    # Requests that wait for the response to an earlier one; what follows them is read later.
    pipelined_requests_max: PositiveInt = 100
    connections_per_address_max: int = Field(default=1_000, ge=0)  # 0 is no limit.
    # Networks without that limit, with commas between: load balancers have many connections.
    connections_uncounted: str = "127.0.0.0/8,::1"
    # The origins whose pages may call the API from a browser, with commas between; none by default.
    cors_origins: str = ""


class AccessLogSettings(Part):
    """Which requests an API process writes down; writes that succeed, and 5xx other than 503, always."""

    access_log_reads_one_of: PositiveInt = 100  # 1 writes every read.
    # Lines of one status of 4xx, because anybody can cause them, and of 503, the status of all in an outage.
    access_log_refusals_per_s: PositiveInt = 10


class RateSettings(Part):
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
    rate_refusal_delay_ms: NonNegativeInt = 500  # Before a request above its rate gets its 429.
    # The proxies in front of the API that append to X-Forwarded-For. With 0 the peer is the client.
    trusted_proxies: int = Field(default=0, ge=0)
    rate_buckets_max: PositiveInt = 100_000  # In the memory of one process, half a kilobyte each.


class FollowSettings(Part):
    """How many users one user may follow over HTTP, and how often they may change their mind."""

    following_max: PositiveInt = 10_000
    # Rows of former followees, until they expire (`removed_edge_ttl_s`); then no new ones may be followed.
    removed_follows_max: PositiveInt = 20_000
    # So far below `following_max`, followees are counted again after a follow. At least as many as a user
    # can follow within the 5 s for which a process goes by its last count.
    following_verified: PositiveInt = 512


class ApiSettings(Part):
    """Where the API listens."""

    api: str = "http://127.0.0.1:8000"
