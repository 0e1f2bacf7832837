"""Every metric of the API, each defined once. Units are base units, and no label is an id."""

from prometheus_client import Counter, Gauge, Histogram

REQUESTS = Counter("shutterline_http_requests", "Finished requests.", ["method", "route", "status"])
REQUEST_SECONDS = Histogram(
    "shutterline_http_request_duration_seconds",
    "From a request's headers to the end of its response.",
    ["method", "route"],
    # The objective of a feed is 0.1 s at p95; above 0.2 s an alarm pages the operators.
    buckets=(0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5),
)
REQUESTS_IN_FLIGHT = Gauge("shutterline_http_requests_in_flight", "Requests under way.")
REQUESTS_REFUSED = Counter(
    "shutterline_http_requests_refused",
    "Requests that were rejected, or cancelled at their deadline.",
    ["reason"],
)
CONNECTIONS = Gauge("shutterline_http_connections", "Open connections.")
CONNECTIONS_REFUSED = Counter(
    "shutterline_http_connections_refused",
    "Connections that were closed before a request was complete, by the bound that they broke.",
    ["reason"],
)
FEED_PAGES = Counter("shutterline_feed_pages", "Feed pages, by their completeness.", ["completeness"])
REBUILDS = Counter(
    "shutterline_rebuilds", "Reads of timelines that had to be rebuilt, by the outcome.", ["outcome"]
)
CACHE_LOOKUPS = Counter(
    "shutterline_copies_read", "Lookups in the cache, by the kind of value.", ["kind", "outcome"]
)
MEDIA_URLS = Counter("shutterline_media_urls", "Signed photo URLs in responses.", ["outcome"])
KEY_SET_FETCHED = Gauge(
    "shutterline_key_set_fetched_timestamp_seconds",
    "When the key set of tokens was last fetched, since 1970.",
)
REVOCATIONS_READ = Gauge(
    "shutterline_revocations_read_timestamp_seconds", "When the revocations were last read, since 1970."
)
