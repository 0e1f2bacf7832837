"""Every metric of the write side, each defined once. Base units; never an id as a label."""

from prometheus_client import Counter, Gauge, Histogram

EVENTS = Counter(
    "shutterline_events",
    "Records of the topics that others write, by what became of them.",
    ["topic", "outcome"],
)
DEAD_LETTERS = Counter("shutterline_dead_letters", "Records put on a dead-letter topic.", ["topic", "reason"])
EDGES = Counter("shutterline_edges", "Edges applied to their other side.", ["kind"])
DELIVERIES = Counter("shutterline_deliveries", "Timelines that were given a photo.", ["lane"])
DECISIONS = Counter(
    "shutterline_delivery_decisions", "Ready photos, by how they are delivered.", ["mode", "reason"]
)
FRESHNESS = Histogram(
    "shutterline_delivery_freshness_seconds",
    "From a photo's readiness to its being on a page of timelines.",
    ["lane"],
    # 5 s is the objective, 2 s the target.
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60, 300),
)
RETRIES = Counter("shutterline_store_retries", "Tries that a store did not answer.", ["store"])
WAITING = Gauge("shutterline_waiting_for_store", "Records that wait for a store to come back.")
BREAKER = Gauge("shutterline_breaker_state", "1 while the breaker of a dependency is open.", ["dependency"])
REPAIRS = Counter(
    "shutterline_timeline_repairs", "Partitions applied again because Redis came back older.", ["outcome"]
)
REPAIRED_RECORDS = Counter("shutterline_timeline_repaired_records", "Records of fanout applied again.")
STOPPED = Gauge("shutterline_stopped_partitions", "Partitions that wait for an operator.", ["group"])
POSITION = Gauge(
    "shutterline_consumer_position", "The next offset to handle.", ["group", "topic", "partition"]
)
PARKED = Counter("shutterline_parked_photos", "Photos whose original was waited for.", ["outcome"])
