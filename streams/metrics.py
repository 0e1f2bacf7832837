"""All metrics of the write side, in base units. No id is a label: it has too many values.

The label `source` is the `ce_source` of a publisher. `stages/set_aside.py` bounds its values.
"""

from prometheus_client import Counter, Gauge, Histogram

EVENTS = Counter(
    "shutterline_events",
    "Records of the topics that others write, by what became of them.",
    ["topic", "outcome"],
)
DEAD_LETTERS = Counter("shutterline_dead_letters", "Records put on a dead-letter topic.", ["topic", "reason"])
DEAD_LETTERS_WAITING = Gauge(
    "shutterline_dead_letters_waiting", "Dead letters that were neither replayed nor discarded.", ["topic"]
)
DEAD_LETTERS_OLDEST = Gauge(
    "shutterline_dead_letters_oldest_age_seconds",
    "Since when the oldest dead letter that was neither replayed nor discarded waits; 0 where there is none.",
    ["topic"],
)
EDGES = Counter("shutterline_edges", "Edges applied to their other side.", ["kind"])
DELIVERIES = Counter("shutterline_deliveries", "Timelines that were given a photo.", ["lane"])
DECISIONS = Counter(
    "shutterline_delivery_decisions", "Ready photos, by how they are delivered.", ["mode", "reason"]
)
FRESHNESS = Histogram(
    "shutterline_delivery_freshness_seconds",
    "From a photo's readiness to its being on a page of timelines.",
    ["lane"],
    # The objective is 5 s, the target is 2 s.
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60, 300),
)
BACKLOG_DELIVERIES = Gauge(
    "shutterline_fanout_backlog_deliveries", "Deliveries of the records that are not committed yet.", ["lane"]
)
BACKLOG_RECORDS = Gauge("shutterline_fanout_backlog_records", "Records that are not committed yet.", ["lane"])
SWITCH = Gauge(
    "shutterline_overload_switch", "1 while too much work has the switch on: breaker, shedding.", ["switch"]
)
BULK_BUDGET = Gauge(
    "shutterline_bulk_budget_deliveries_per_second",
    "What the worker that settles may publish a second; lower while Redis or the normal lane is slow.",
)
DEFERRED_POSTS = Gauge(
    "shutterline_deferred_posts",
    "Posts that readers pull one by one, by their push: due, postponed until a switch is off, or sent.",
    ["push"],
)
RETRIES = Counter("shutterline_store_retries", "Tries that a store did not answer.", ["store"])
WAITING = Gauge("shutterline_waiting_for_store", "Records that wait for a store to come back.")
STORE_ERRORS = Counter(
    "shutterline_store_errors",
    "Operations that a store failed or refused, by class of error.",
    ["store", "error"],
)
CLOCK_AHEAD = Gauge(
    "shutterline_clock_ahead_seconds",
    "By how much this process's clock is ahead of a store's at least; negative if it is behind.",
    ["store"],
)
BREAKER = Gauge("shutterline_breaker_state", "1 while the breaker of a dependency is open.", ["dependency"])
SLOW_KEY_REJECTIONS = Counter(
    "shutterline_slow_key_rejections",
    "Operations on a key of a store that were rejected because only that key kept failing.",
    ["store"],
)
REPAIRS = Counter(
    "shutterline_timeline_repairs", "Partitions applied again because Redis came back older.", ["outcome"]
)
UNDELIVERED = Gauge(
    "shutterline_undelivered_photos",
    "Photos that were not delivered, or not invalidated in the cache, at two looks in a row, 5 s apart.",
)
GROUPS_BEHIND = Gauge(
    "shutterline_timeline_groups_behind",
    "Groups of timelines that a partition of the normal lane leaves out until their server has caught up.",
)
REPAIRED_RECORDS = Counter("shutterline_timeline_repaired_records", "Records of fanout applied again.")
TIMELINES_MISSING = Gauge(
    "shutterline_timelines_missing_ratio", "Share of the latest readers without a timeline, at the last look."
)
WARMED = Counter(
    "shutterline_warmed_timelines", "Rebuilds of lost timelines that no reader asked for.", ["outcome"]
)
WARMING_HOURS_LEFT = Gauge(
    "shutterline_warming_hours_left", "Hours whose readers the pass that runs still goes over; 0 without one."
)
STOPPED = Gauge("shutterline_stopped_partitions", "Partitions that wait for an operator.", ["group"])
SOURCES_SET_ASIDE = Gauge(
    "shutterline_sources_set_aside",
    "Partitions where the bad records of this source no longer count towards the dead-letter limit.",
    ["group", "topic", "source"],
)
STUCK = Gauge(
    "shutterline_stuck_partitions",
    "1 for a partition that does not move although records wait and the process was started again twice.",
    ["group", "topic", "partition"],
)
HELD_BACK = Gauge(
    "shutterline_held_back_records",
    "Offsets that open transactions of publishers hold back from consumers.",
    ["topic", "partition"],
)
LAG_MESSAGES = Gauge(
    "shutterline_consumer_lag_messages",
    "Offsets that wait: `total` by the monitor; `unfetched` and `in_flight` (not committed) by the owner.",
    ["group", "topic", "partition", "lane", "layer"],
)
POSITION = Gauge(
    "shutterline_consumer_position", "The next offset to handle.", ["group", "topic", "partition"]
)
REBALANCES = Counter(
    "shutterline_consumer_rebalances",
    "Rebalances of a consumer: at its start, or because members or partitions changed.",
    ["group", "reason"],
)
REBALANCE_SECONDS = Histogram(
    "shutterline_rebalance_duration_seconds",
    "From a consumer's partitions being revoked to its next ones being assigned.",
    ["group"],
    # After a kill the group waits for the session to end, 6 s.
    buckets=(0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 20, 30, 60),
)
HANDLING = Histogram(
    "shutterline_handling_seconds",
    "From a batch of records being taken to its being handled, with the waits for stores.",
    ["group"],
    # A batch of edges takes some 10 ms, a large original up to minutes.
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300),
)
LOOP_DELAY = Histogram(
    "shutterline_event_loop_delay_seconds",
    "By how much the event loop of a worker was late with what was due, ten times a second.",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
PARKED = Counter("shutterline_parked_photos", "Photos whose original was waited for.", ["outcome"])

# Renditions.
RENDITIONS_QUEUED = Gauge("shutterline_renditions_queued", "Tasks that are not committed yet.", ["lane"])
RENDITIONS_OLDEST = Gauge(
    "shutterline_renditions_oldest_age_seconds",
    "Since when the oldest task that is being handled here was queued; 0 where there is none.",
    ["lane"],
)
RENDITION_TASKS = Counter(
    "shutterline_rendition_tasks", "Tasks of renditions, by what became of them.", ["lane", "outcome"]
)
RENDITION_WAIT = Histogram(
    "shutterline_rendition_wait_seconds",
    "From the moment that an original was known to be there to its renditions' being stored.",
    ["lane"],
    # The objective is 30 s for 95 % of thumbnails.
    buckets=(0.1, 0.25, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 900, 3_600),
)
DECODE_COST = Histogram(
    "shutterline_decode_seconds_per_megapixel",
    "Processor time of a decoder for a megapixel of its original.",
    ["lane"],
    buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1),
)
REJECTED = Counter("shutterline_rejected_photos", "Photos that can never have renditions.", ["reason"])

# Uploads over HTTP. The label `mode` says how the bytes arrive.
UPLOADS_STARTED = Counter("shutterline_uploads_started", "Uploads that were begun.", ["mode"])
UPLOADS_COMPLETED = Counter(
    "shutterline_uploads_completed", "Uploads whose photo entered the pipeline.", ["mode"]
)
UPLOADS_REFUSED = Counter("shutterline_uploads_refused", "Uploads that were refused, by reason.", ["reason"])
LIMITS_UNSHARED = Counter(
    "shutterline_limits_unshared",
    "Times a process applied a limit of all processes alone, because Redis did not respond, by the limit.",
    ["limit"],
)

# The audit.
AUDIT_FOUND = Counter("shutterline_audit_differences", "Stored things that differ from others.", ["drift"])
AUDITED = Counter(
    "shutterline_audited_users",
    "Users whom the audit looked at; unjudged if the logs were not applied in time.",
    ["outcome"],
)
AUDIT_LEFT = Counter("shutterline_audit_unrepaired", "Differences that could not be repaired.", ["drift"])
AUDIT_RATIO = Gauge(
    "shutterline_audit_differences_ratio",
    "Share of the last pass's comparisons that differed, in the graph or in timelines, without doubled ids.",
    ["compared"],
)

# Cleaning.
UPLOADS_UNFINISHED = Gauge(
    "shutterline_uploads_unfinished", "Uploads that the last pass found unfinished an hour after their start."
)
CLEANING_FOUND = Counter("shutterline_cleaning_found", "What should not be there, by kind.", ["kind"])
CLEANING_SETTLED = Counter(
    "shutterline_cleaning_settled", "What should not have been there and was removed or mended.", ["kind"]
)
CLEANING_REMOVED = Counter("shutterline_cleaning_removed_bytes", "Bytes of the objects that were removed.")
PHOTOS_WITHOUT_OBJECTS = Gauge(
    "shutterline_photos_without_objects", "Ready photos that lack objects which nothing can make again."
)
CLEANING_ENDED = Gauge("shutterline_cleaning_ended_timestamp_seconds", "When a pass last ended, since 1970.")
