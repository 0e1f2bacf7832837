"""Uploads, renditions, and what is in the bucket."""

from infra.monitoring.grafana.panels import (
    BYTES,
    COUNT,
    PER_SECOND,
    RATE,
    RATIO,
    SECONDS,
    Page,
    Panel,
    Query,
    Row,
    quantiles,
    rate,
)

QUEUE = Panel(
    "Renditions that wait",
    "Tasks that are not committed yet. A photo is delivered when its thumbnail is there.",
    COUNT,
    (Query("lane:shutterline_waiting_renditions:max", "{{lane}}"),),
    alerts=("RenditionsQueueHigh",),
)
WAIT = Panel(
    "The slowest renditions of a hundred",
    "From the moment that an original is there to its renditions' being stored, p99 by lane.",
    SECONDS,
    alerts=("RenditionsLate",),
)
UPLOADS = Panel(
    "Refused uploads",
    "503, because the queue is full or Kafka or Redis does not respond.",
    PER_SECOND,
    alerts=("UploadsRefused",),
)

MEDIA = Page(
    "shutterline-media",
    "Shutterline: uploads and renditions",
    "From the upload to the stored renditions, and the state of the bucket.",
    (
        Row(
            "Renditions",
            (
                QUEUE,
                WAIT,
                Panel(
                    "Thumbnails in time",
                    "The share that is stored within 30 s.",
                    RATIO,
                    alerts=("ThumbnailsUnavailable",),
                ),
                Panel(
                    "Tasks by outcome",
                    "Tasks of renditions, by what became of them.",
                    PER_SECOND,
                    (rate("shutterline_rendition_tasks_total", "lane, outcome"),),
                ),
                Panel(
                    "Rejected photos",
                    "Photos that can never have renditions, by reason.",
                    PER_SECOND,
                    (rate("shutterline_rejected_photos_total", "reason"),),
                ),
                Panel(
                    "Decoding a megapixel",
                    "Processor time of a decoder for a megapixel of its original.",
                    SECONDS,
                    quantiles("shutterline_decode_seconds_per_megapixel", by="lane"),
                ),
                Panel(
                    "Age of the oldest task in hand",
                    "Since when the oldest task that is being handled was queued.",
                    SECONDS,
                    (Query("max by (lane) (shutterline_renditions_oldest_age_seconds)", "{{lane}}"),),
                    width=12,
                ),
                Panel(
                    "Waits for originals",
                    "Photos whose original was not there yet, by what became of the wait.",
                    PER_SECOND,
                    (rate("shutterline_parked_photos_total", "outcome"),),
                    width=12,
                ),
            ),
        ),
        Row(
            "Uploads",
            (
                Panel(
                    "Completed uploads",
                    "The share of the uploads begun in 6 hours whose photo entered the pipeline.",
                    RATIO,
                    alerts=("UploadsIncomplete",),
                ),
                UPLOADS,
                Panel(
                    "Uploads begun and completed",
                    "By how the bytes arrive.",
                    PER_SECOND,
                    (
                        Query(
                            f"sum by (mode) (rate(shutterline_uploads_started_total[{RATE}]))",
                            "begun {{mode}}",
                        ),
                        Query(
                            f"sum by (mode) (rate(shutterline_uploads_completed_total[{RATE}]))",
                            "completed {{mode}}",
                        ),
                    ),
                ),
            ),
        ),
        Row(
            "The bucket",
            (
                Panel(
                    "Photos without objects",
                    "Ready photos that lack objects which nothing can make again.",
                    COUNT,
                    alerts=("PhotosWithoutObjects",),
                ),
                Panel(
                    "What cleaning found and settled",
                    "What should not be there, by kind, and what of it was removed or mended.",
                    PER_SECOND,
                    (
                        Query(
                            f"sum by (kind) (rate(shutterline_cleaning_found_total[{RATE}]))",
                            "found {{kind}}",
                        ),
                        Query(
                            f"sum by (kind) (rate(shutterline_cleaning_settled_total[{RATE}]))",
                            "settled {{kind}}",
                        ),
                    ),
                ),
                Panel(
                    "Removed bytes",
                    "Bytes of the objects that cleaning removed in the last day.",
                    BYTES,
                    (Query("sum(increase(shutterline_cleaning_removed_bytes_total[1d]))", "removed"),),
                ),
                Panel(
                    "Unfinished uploads",
                    "Uploads that the last pass of cleaning found unfinished an hour after their start.",
                    COUNT,
                    (Query("max(shutterline_uploads_unfinished)", "unfinished"),),
                    width=12,
                ),
                Panel(
                    "Signed photo URLs",
                    "URLs in responses: signed now, or kept from an earlier response.",
                    PER_SECOND,
                    (rate("shutterline_media_urls_total", "outcome"),),
                    width=12,
                ),
            ),
        ),
    ),
)
