"""What rebuilds the timelines that Redis has lost, in one worker."""

from collections.abc import Callable

from streams.jobs.lost_timelines import LostTimelines
from streams.jobs.warm_timelines import WarmedTimelines, warming_rebuilder
from streams.metrics import WARMED
from streams.timelines.rebuild import RebuildOutcome
from streams.worker.parts import SharedParts


def lost_timelines(shared: SharedParts, owns: Callable[[], bool]) -> LostTimelines:
    """Return what rebuilds lost timelines while this process owns the first partition of the bulk lane."""
    settings, stores, warmed = shared.settings, shared.stores, WarmedTimelines()

    def count(outcome: RebuildOutcome) -> None:
        warmed.count(outcome)
        WARMED.labels(outcome).inc()

    return LostTimelines(
        stores.timelines,
        stores.active_readers,
        warming_rebuilder(
            settings, settings, stores, count, in_flight_max=settings.lost_timelines_in_flight_max
        ),
        warmed,
        owns,
        timeline_ttl_s=settings.timeline_ttl_s,
        per_s_max=settings.lost_timelines_per_s_max,
    )
