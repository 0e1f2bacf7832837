"""Cassandra, Redis, Kafka and S3, as the processes see them, and the cache."""

from infra.monitoring.grafana.panels import (
    COUNT,
    OFF_ON,
    PER_SECOND,
    RATE,
    RATIO,
    Kind,
    Page,
    Panel,
    Query,
    Row,
    rate,
)

BREAKERS = Panel(
    "Breakers of stores",
    "While the breaker of a dependency is open, a process does not ask it.",
    COUNT,
    alerts=("StoreBreakerOpen",),
    kind=Kind.TIMELINE,
    words=OFF_ON,
)
ERRORS = Panel(
    "Errors of stores",
    "Operations that a store failed or refused, by class of error.",
    PER_SECOND,
    alerts=("StoreErrors",),
)
CACHE_HITS = Panel(
    "Cache hits",
    "The share of lookups that found their value in the cache. The others cost a read of the database.",
    RATIO,
    alerts=("CacheHitsLow",),
)

STORES = Page(
    "shutterline-stores",
    "Shutterline: stores",
    "Cassandra, Redis, Kafka and S3, as the processes see them, and the cache.",
    (
        Row(
            "Stores",
            (
                BREAKERS.at_width(24),
                ERRORS,
                Panel(
                    "Records that wait for a store",
                    "They are retried until their store responds.",
                    COUNT,
                    alerts=("WaitingForStore",),
                ),
                Panel(
                    "Retries",
                    "Tries that a store did not answer.",
                    PER_SECOND,
                    (rate("shutterline_store_retries_total", "store"),),
                ),
                Panel(
                    "Slow keys",
                    "Operations on a key of a store that were rejected because only that key kept failing.",
                    PER_SECOND,
                    (rate("shutterline_slow_key_rejections_total", "store"),),
                    width=12,
                ),
                Panel(
                    "Limits that are not shared",
                    "A process applied a limit of all processes alone, because Redis did not respond.",
                    PER_SECOND,
                    alerts=("LimitsUnshared",),
                    width=12,
                ),
            ),
        ),
        Row(
            "Cache",
            (
                CACHE_HITS.at_width(12),
                Panel(
                    "Cache hits by kind",
                    "The share of lookups that found their value, by the kind of value.",
                    RATIO,
                    (
                        Query(
                            f'sum by (kind) (rate(shutterline_copies_read_total{{outcome="hit"}}[{RATE}]))'
                            f" / sum by (kind) (rate(shutterline_copies_read_total[{RATE}]))",
                            "{{kind}}",
                        ),
                    ),
                    width=12,
                ),
            ),
        ),
        Row(
            "Timelines",
            (
                Panel(
                    "Readers without a timeline",
                    "The share of the latest readers, at the last look. A worker rebuilds lost timelines.",
                    RATIO,
                    alerts=("TimelinesMissing",),
                ),
                Panel(
                    "Rebuilds for readers",
                    "Reads of timelines that had to be rebuilt, by the outcome.",
                    PER_SECOND,
                    (rate("shutterline_rebuilds_total", "outcome"),),
                ),
                Panel(
                    "Rebuilds that no reader asked for",
                    "Lost timelines that a worker rebuilt, by the outcome.",
                    PER_SECOND,
                    (rate("shutterline_warmed_timelines_total", "outcome"),),
                ),
                Panel(
                    "Hours of readers left to rebuild",
                    "Hours whose readers the running pass still goes over; 0 without one.",
                    COUNT,
                    (Query("max(shutterline_warming_hours_left)", "hours"),),
                ),
                Panel(
                    "Groups of timelines behind",
                    "Groups that the normal lane leaves out until their server of Redis has caught up.",
                    COUNT,
                    (Query("max(shutterline_timeline_groups_behind)", "groups"),),
                ),
                Panel(
                    "Undelivered photos",
                    "Photos that wait for a worker, or for a server of Redis that has them cached.",
                    COUNT,
                    (Query("max(shutterline_undelivered_photos)", "photos"),),
                ),
                Panel(
                    "Repairs after Redis came back older",
                    "Partitions of fanout that were applied again, by the outcome.",
                    PER_SECOND,
                    (rate("shutterline_timeline_repairs_total", "outcome"),),
                ),
                Panel(
                    "Records applied again",
                    "Records of fanout that repairs applied again.",
                    PER_SECOND,
                    (
                        Query(
                            f"sum(rate(shutterline_timeline_repaired_records_total[{RATE}]))",
                            "records",
                        ),
                    ),
                ),
            ),
        ),
    ),
)
