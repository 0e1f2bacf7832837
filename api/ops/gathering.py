"""Gather the facts of a page: one read of the monitor a second, and what this process knows already."""

from api.http.problems import unavailable
from api.lag_reader import NoReport
from api.ops.facts import Facts
from api.services import HealthService, OpsService
from schemas.times import utc_datetime


async def facts_of(ops: OpsService, health: HealthService) -> Facts:
    """Return the facts of now.

    Raises:
        Problem: 503, if there never was a report of the monitor.
    """
    try:
        overview = await ops.overview.report()
    except NoReport as error:
        raise unavailable(f"There is no report yet: {error}.") from None
    deferred = ops.deferred
    return Facts(
        now=utc_datetime(ops.clock_us()),
        overview=overview,
        stores=health.readiness.last(),
        clock=health.clocks.not_ready(),
        deferred={
            "due": len(deferred.due),
            "postponed": len(deferred.postponed),
            "sent": len(deferred.sent),
        },
        limits=ops.overload,
    )
