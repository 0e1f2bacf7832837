"""Every metric of the API, each defined once. Base units; never an id as a label."""

from prometheus_client import Counter, Gauge, Histogram

REQUESTS = Counter("shutterline_http_requests", "Requests answered.", ["method", "route", "status"])
REQUEST_SECONDS = Histogram(
    "shutterline_http_request_duration_seconds",
    "From a request's headers to the end of its answer.",
    ["method", "route"],
    # The objective of a feed is 0.1 s at p95; above 0.2 s an alarm pages the operators.
    buckets=(0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5),
)
REQUESTS_IN_FLIGHT = Gauge("shutterline_http_requests_in_flight", "Requests that are being answered.")
REQUESTS_REFUSED = Counter(
    "shutterline_http_requests_refused", "Requests turned away or given up.", ["reason"]
)
FEED_PAGES = Counter("shutterline_feed_pages", "Pages of feeds, by what they promise.", ["completeness"])
REBUILDS = Counter("shutterline_rebuilds", "Timelines that were missing when asked for.", ["outcome"])
COPIES = Counter("shutterline_copies_read", "Copies in Redis that were looked for.", ["kind", "outcome"])
MEDIA_URLS = Counter("shutterline_media_urls", "Signed photo URLs handed out.", ["outcome"])
