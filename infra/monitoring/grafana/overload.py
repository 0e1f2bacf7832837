"""The backlog of fan-out, and what the system does about it by itself."""

from infra.monitoring.grafana.panels import (
    COUNT,
    OFF_ON,
    PER_SECOND,
    SECONDS,
    Color,
    Kind,
    Level,
    Page,
    Panel,
    Query,
    Row,
    rate,
)
from streams.settings.feed import OverloadSettings


def _setting(name: str, color: Color) -> Level:
    """Return the level of a setting's default. An installation may have set another."""
    return Level(OverloadSettings.model_fields[name].default, color)


BACKLOG = Panel(
    "Backlog of fan-out, in deliveries",
    "Followers of the records that are not committed yet. The breaker opens at the upper line and closes at "
    "the lowest.",
    COUNT,
    (Query("lane:shutterline_waiting_deliveries:max", "{{lane}}"),),
    alerts=("FanoutBacklogHigh",),
    levels=(
        _setting("breaker_open_deliveries", Color.RED),
        _setting("breaker_close_deliveries", Color.GREEN),
    ),
)
SWITCHES = Panel(
    "Breaker and shedding",
    "While the breaker is on, all posts are deferred; while shedding is on, those of authors with few "
    "followers. Readers merge deferred posts one by one.",
    COUNT,
    alerts=("BreakerOpen", "SheddingOn"),
    kind=Kind.TIMELINE,
    words=OFF_ON,
)
BULK_BUDGET = Panel(
    "Budget of the bulk lane",
    "What the worker that settles may publish a second; less while Redis or the normal lane is slow.",
    PER_SECOND,
    (Query("max(shutterline_bulk_budget_deliveries_per_second)", "budget"),),
)
DEFERRED = Panel(
    "Deferred posts",
    "Posts that readers pull one by one, by their push: due, postponed until a switch is off, or sent.",
    COUNT,
    (Query("push:shutterline_deferred_posts:max", "{{push}}"),),
)

OVERLOAD = Page(
    "shutterline-overload",
    "Shutterline: overload",
    "The backlog of fan-out, and what the system does about it by itself.",
    (
        Row(
            "Backlog",
            (
                BACKLOG,
                Panel(
                    "Backlog of fan-out, in records",
                    "Above the orange line posts of authors with few followers are deferred, until fewer "
                    "records than at the lower line wait.",
                    COUNT,
                    (Query("max by (lane) (shutterline_fanout_backlog_records)", "{{lane}}"),),
                    levels=(
                        _setting("shed_lag_records", Color.ORANGE),
                        _setting("shed_end_lag_records", Color.GREEN),
                    ),
                ),
                SWITCHES,
                Panel(
                    "The slowest delivery of a hundred",
                    "From a photo's readiness to its being on a page of timelines, p99 of the lane `normal`.",
                    SECONDS,
                    alerts=("FanoutLate",),
                    width=12,
                ),
                Panel(
                    "How posts are delivered",
                    "Ready photos, by mode and reason: pushed to timelines, or pulled by readers.",
                    PER_SECOND,
                    (rate("shutterline_delivery_decisions_total", "mode, reason"),),
                    width=12,
                ),
            ),
        ),
        Row(
            "Deferred posts",
            (
                BULK_BUDGET,
                DEFERRED,
                Panel(
                    "Deferred posts that do not go",
                    "The fewest of the last half hour, and the number now beside that of half an hour ago.",
                    COUNT,
                    alerts=("DeferredPostsStuck",),
                ),
            ),
        ),
    ),
)
