"""What is stored, dead letters, and the facts by which requests are judged."""

from infra.monitoring.grafana.panels import (
    COUNT,
    OFF_ON,
    PER_SECOND,
    RATIO,
    SECONDS,
    Kind,
    Page,
    Panel,
    Query,
    Row,
    rate,
)

DRIFT = Panel(
    "Drift",
    "The share of the last audit's comparisons that differed, in the graph and in timelines.",
    RATIO,
    alerts=("GraphDrift", "TimelineDrift"),
)
DEAD_LETTERS_AGE = Panel(
    "Age of the oldest dead letter",
    "Of those that nobody has replayed or discarded. After 30 days dead letters expire.",
    SECONDS,
    alerts=("DeadLettersOld",),
)
DEAD_LETTERS = Panel(
    "New dead letters",
    "Records put on a dead-letter topic, by topic and reason.",
    PER_SECOND,
    (rate("shutterline_dead_letters_total", "topic, reason"),),
)

DATA = Page(
    "shutterline-data",
    "Shutterline: data",
    "Whether what is stored agrees, dead letters, clocks and keys.",
    (
        Row(
            "Drift",
            (
                DRIFT,
                Panel(
                    "Differences that could not be repaired",
                    "In an hour, by what differs.",
                    COUNT,
                    alerts=("AuditUnrepaired",),
                ),
                Panel(
                    "Differences that the audit found",
                    "Stored things that differ from others, by what differs.",
                    PER_SECOND,
                    (rate("shutterline_audit_differences_total", "drift"),),
                ),
                Panel(
                    "Audited users",
                    "Unjudged if the logs were not applied in time.",
                    PER_SECOND,
                    (rate("shutterline_audited_users_total", "outcome"),),
                    width=12,
                ),
                Panel(
                    "Edges counted",
                    "Follows, likes and ready photos that were applied to their other side.",
                    PER_SECOND,
                    (rate("shutterline_edges_total", "kind"),),
                    width=12,
                ),
            ),
        ),
        Row(
            "Dead letters",
            (
                DEAD_LETTERS_AGE,
                DEAD_LETTERS,
                Panel(
                    "Dead letters that wait",
                    "Neither replayed nor discarded.",
                    COUNT,
                    (Query("max by (topic) (shutterline_dead_letters_waiting)", "{{topic}}"),),
                ),
                Panel(
                    "Events by outcome",
                    "Records of the topics that others write, by what became of them.",
                    PER_SECOND,
                    (rate("shutterline_events_total", "topic, outcome"),),
                    width=12,
                ),
                Panel(
                    "Publishers set aside",
                    "Partitions where the bad records of this publisher no longer count towards the limit.",
                    COUNT,
                    alerts=("DeadLetterSourceSetAside",),
                    width=12,
                ),
            ),
        ),
        Row(
            "Logs",
            (
                Panel(
                    "Offsets held back",
                    "Offsets that an open transaction of a publisher holds back from consumers.",
                    COUNT,
                    alerts=("PublisherHoldsBack",),
                    width=12,
                ),
                Panel(
                    "Stuck partitions",
                    "A partition that does not move although its worker was started again twice.",
                    COUNT,
                    alerts=("PartitionStuck",),
                    kind=Kind.TIMELINE,
                    words=OFF_ON,
                    width=12,
                ),
            ),
        ),
        Row(
            "Clocks and ages",
            (
                Panel(
                    "Clocks",
                    "By how much a process's clock differs from a store's, ahead or behind.",
                    SECONDS,
                    alerts=("ClockOff", "ClockFarOff"),
                    width=12,
                ),
                Panel(
                    "Age of the key set",
                    "Since the key set of tokens was fetched.",
                    SECONDS,
                    alerts=("KeySetOld",),
                    width=12,
                ),
                Panel(
                    "Age of the revocations",
                    "Since a process read them. Tokens that were revoked since are accepted.",
                    SECONDS,
                    alerts=("RevocationsOld",),
                    width=12,
                ),
                Panel(
                    "Since the bucket was cleaned",
                    "A pass ends every hour.",
                    SECONDS,
                    alerts=("CleaningOld",),
                    width=12,
                ),
            ),
        ),
    ),
)
