"""The caches in front of S3. The counters are those of the local stack's edges and shield."""

from infra.monitoring.grafana.panels import (
    BYTES_PER_SECOND,
    PER_SECOND,
    RATE,
    RATIO,
    Page,
    Panel,
    Query,
    Row,
    rate,
)

EDGE = Page(
    "shutterline-edge",
    "Shutterline: edge",
    "The caches in front of S3. The counters are those of the local stack's edges; a CDN has its own.",
    (
        Row(
            "The origin",
            (
                Panel(
                    "Requests made of S3",
                    "Beside the bound, which is a multiple of the usual rate.",
                    PER_SECOND,
                    alerts=("OriginRequestsHigh",),
                    width=12,
                ),
                Panel(
                    "Photo requests that reach S3",
                    "The share that neither an edge nor the shield could serve.",
                    RATIO,
                    alerts=("OriginMissesHigh",),
                    width=12,
                ),
            ),
        ),
        Row(
            "The caches",
            (
                Panel(
                    "Requests by result",
                    "What the cache did for them.",
                    PER_SECOND,
                    (rate("shutterline_edge_requests_total", "role, result"),),
                ),
                Panel(
                    "Bytes sent",
                    "A second, headers included.",
                    BYTES_PER_SECOND,
                    (rate("shutterline_edge_bytes_sent_total", "role"),),
                ),
                Panel(
                    "Purged objects",
                    "Objects whose copies were to be forgotten.",
                    PER_SECOND,
                    (Query(f"sum(rate(shutterline_edge_purged_objects_total[{RATE}]))", "purged"),),
                ),
            ),
        ),
    ),
)
