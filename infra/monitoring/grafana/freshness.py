"""What users feel: how late feeds are, how slow, how often requests fail, and what of the budgets is left."""

from infra.monitoring.grafana.drawing import Alerts
from infra.monitoring.grafana.panels import (
    COUNT,
    PER_SECOND,
    RATIO,
    SECONDS,
    Color,
    Kind,
    Level,
    Page,
    Panel,
    Query,
    Row,
    quantiles,
    rate,
)

_FEED = '{method="GET",route="/v1/feed"}'
_LATE = (
    'sum(increase(shutterline_delivery_freshness_seconds_bucket{lane="normal",le="5.0"}[$__range]))'
    ' / sum(increase(shutterline_delivery_freshness_seconds_count{lane="normal"}[$__range]))'
)
_SLOW = (
    'sum(increase(shutterline_http_request_duration_seconds_bucket{method="GET",route="/v1/feed",le="0.1"}[$__range]))'
    f" / sum(increase(shutterline_http_request_duration_seconds_count{_FEED}[$__range]))"
)
_FAILED = (
    '(sum(increase(shutterline_http_requests_total{route=~"/v1/.*",status!~"5.."}[$__range])) or vector(0))'
    ' / sum(increase(shutterline_http_requests_total{route=~"/v1/.*"}[$__range])'
    ' or increase(shutterline_http_requests_total{route="unmatched",status=~"5.."}[$__range]))'
)

FRESHNESS = Panel(
    "From ready to the timeline",
    "From a photo's readiness to its being on a page of timelines. The objective is 5 s, the target 2 s.",
    SECONDS,
    quantiles("shutterline_delivery_freshness_seconds", by="lane"),
    width=12,
)
LATE = Panel(
    "Share of late deliveries",
    "Deliveries later than 5 s, over several windows. The lines are the rates at which the error budget of "
    "30 days would end within 2 and 5 days.",
    RATIO,
    alerts=("FreshnessBudgetBurning",),
    width=12,
)
FEED_LATENCY = Panel(
    "Latency of a feed",
    "From the request's headers to the end of the response. The objective of p95 is 100 ms.",
    SECONDS,
    quantiles("shutterline_http_request_duration_seconds", matchers=_FEED),
    alerts=("FeedLatencyHigh",),
    width=12,
)
ERRORS = Panel(
    "Failed requests",
    "The share of the API's responses that are 5xx. The objective is under 0.1 %.",
    RATIO,
    alerts=("ErrorsHigh",),
    width=12,
)
CANARY_SEEN = Panel(
    "Since the canary saw its post",
    "An account that posts every 10 s and reads its feed like a user, also while there is no other traffic.",
    SECONDS,
    alerts=("CanaryFailing",),
    of_metric="shutterline_canary_seen_timestamp_seconds",
)


def budget_left(title: str, text: str, good_share: str, draining: str, alerts: Alerts) -> Panel:
    """Return what is left of an error budget over the range that the dashboard shows.

    `good_share` is the share of events that met the objective. The alert `draining` fires at the rate that
    spends all of the budget, so its bound is the share that may miss it.
    """
    budget = alerts[draining][0].comparisons[0].bound
    return Panel(
        title,
        f"{text} 100 %: no event missed the objective in the range shown. 0 %: all that may miss it have.",
        RATIO,
        (Query(f"1 - (1 - {good_share}) / {budget}"),),
        kind=Kind.NUMBER,
        levels=(Level(0, Color.RED, is_floor=True), Level(0.25, Color.ORANGE, is_floor=True)),
        width=8,
        height=4,
    )


def budgets(alerts: Alerts) -> tuple[Panel, ...]:
    """Return what is left of the three error budgets."""
    return (
        budget_left(
            "Budget left: freshness",
            "99.9 % of deliveries of the lane `normal` within 5 s.",
            _LATE,
            "FreshnessBudgetDraining",
            alerts,
        ),
        budget_left(
            "Budget left: feed latency",
            "95 % of feed reads within 100 ms.",
            _SLOW,
            "FeedLatencyBudgetDraining",
            alerts,
        ),
        budget_left(
            "Budget left: availability",
            "99.9 % of responses without 5xx.",
            _FAILED,
            "AvailabilityBudgetDraining",
            alerts,
        ),
    )


def freshness(alerts: Alerts) -> Page:
    return Page(
        "shutterline-freshness",
        "Shutterline: freshness, latency, errors",
        "What users feel. Freshness decides, lag explains.",
        (
            Row("Error budgets over the range shown", budgets(alerts)),
            Row("Freshness", (*_FRESHNESS, FRESHNESS, *_DELIVERIES)),
            Row("Reading a feed", _FEEDS),
            Row("Errors", _ERRORS),
            Row("Load", _LOAD),
            Row("Canary", _CANARY),
        ),
    )


_FRESHNESS = (
    LATE,
    Panel(
        "Share of late deliveries over days",
        "More than the budget allows over 3 days, and still: the budget shrinks.",
        RATIO,
        alerts=("FreshnessBudgetDraining",),
        width=12,
    ),
)
_DELIVERIES = (
    Panel(
        "Deliveries",
        "Timelines that were given a photo.",
        PER_SECOND,
        (rate("shutterline_deliveries_total", "lane"),),
        width=12,
    ),
)
_FEEDS = (
    FEED_LATENCY,
    Panel(
        "Feed pages by completeness",
        "`partial` and `rebuilding` pages say that something may be missing.",
        PER_SECOND,
        (rate("shutterline_feed_pages_total", "completeness"),),
        width=12,
    ),
    Panel(
        "Share of slow feed reads",
        "Reads that take more than 100 ms, over several windows.",
        RATIO,
        alerts=("FeedLatencyBudgetBurning",),
        width=12,
    ),
    Panel(
        "Share of slow feed reads over days",
        "More than 5 % over 3 days, and still: the budget shrinks.",
        RATIO,
        alerts=("FeedLatencyBudgetDraining",),
        width=12,
    ),
)
_ERRORS = (
    ERRORS,
    Panel(
        "Responses by status",
        "Finished requests of all routes.",
        PER_SECOND,
        (rate("shutterline_http_requests_total", "status"),),
        width=12,
    ),
    Panel(
        "Share of failed requests",
        "Responses of 5xx, over several windows.",
        RATIO,
        alerts=("AvailabilityBudgetBurning",),
        width=12,
    ),
    Panel(
        "Share of failed requests over days",
        "More than 0.1 % over 3 days, and still: the budget shrinks.",
        RATIO,
        alerts=("AvailabilityBudgetDraining",),
        width=12,
    ),
    Panel(
        "Refused requests",
        "Requests that were rejected, or cancelled at their deadline, by reason.",
        PER_SECOND,
        (rate("shutterline_http_requests_refused_total", "reason"),),
        width=12,
    ),
    Panel(
        "Refused connections",
        "Connections that were closed before a request was complete, by the bound that they broke.",
        PER_SECOND,
        (rate("shutterline_http_connections_refused_total", "reason"),),
        width=12,
    ),
)
_LOAD = (
    Panel(
        "Requests in flight",
        "Requests under way, in all processes of the API.",
        COUNT,
        (Query("sum(shutterline_http_requests_in_flight)", "requests"),),
        width=12,
    ),
    Panel(
        "Open connections",
        "Connections of clients, in all processes of the API.",
        COUNT,
        (Query("sum(shutterline_http_connections)", "connections"),),
        width=12,
    ),
)
_CANARY = (
    CANARY_SEEN,
    Panel(
        "Canary posts that were late or failed",
        "Of about 30 posts in 5 minutes.",
        COUNT,
        alerts=("CanaryLate", "CanaryFailing"),
        of_metric="shutterline_canary_posts_total",
    ),
    Panel(
        "Freshness of the canary's posts",
        "From its post to its reader's feed, through the API.",
        SECONDS,
        quantiles("shutterline_canary_freshness_seconds"),
    ),
)
