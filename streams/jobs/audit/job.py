"""Audit all the time: `audit_users` of `audit_interval_s`, one part after the other.

Each pass begins at another user, and looks at nobody twice. Two workers that do this at once do some of it
twice.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from random import Random
from time import monotonic

from schemas.ids import UserId
from streams import metrics
from streams.errors import StoreUnavailable
from streams.jobs.audit.audit import Audited, Auditor
from streams.jobs.audit.drift import HARMLESS_DRIFT, TIMELINE_DRIFT
from streams.limited_log import LimitedLog
from streams.ports.cleaning import POSITION_MAX, POSITION_MIN
from streams.ports.edges import ScannedUsers, UserScan
from streams.settings import AuditSettings
from streams.stores.cache.database_reads import TooManyReads

log = logging.getLogger(__name__)
PART_S = 10.0
# The share of authors in a pass. They are scanned, too, because some of them follow nobody.
AUTHORS_SHARE = 0.25


async def sampled_users(
    scan: UserScan, count: int, seed: int, *, part_max: int
) -> AsyncIterator[list[UserId]]:
    """Yield up to `count` followers and authors, at most `part_max` at a time. Some are both.

    Raises:
        StoreUnavailable: The database did not respond.
    """
    authors = int(count * AUTHORS_SHARE)
    for users, wanted in ((ScannedUsers.AUTHORS, authors), (ScannedUsers.FOLLOWERS, count - authors)):
        begin = Random(seed).randint(POSITION_MIN, POSITION_MAX)
        position, has_wrapped = begin, False
        while wanted > 0:
            page = await scan.after(users, position, limit=min(part_max, wanted))
            if has_wrapped:
                page = [(at, user) for at, user in page if at <= begin]
            if page:
                yield [user for _, user in page]
                wanted, position = wanted - len(page), page[-1][0]
            elif has_wrapped:
                break
            else:
                position, has_wrapped = POSITION_MIN, True


@dataclass(slots=True)
class AuditJob:
    """Runs the audit while `is_owner()` is true. `auditor_of` makes one from the seed of a pass."""

    settings: AuditSettings
    scan: UserScan
    auditor_of: Callable[[int], Auditor]
    is_owner: Callable[[], bool]
    clock_s: Callable[[], float] = monotonic
    _outages: LimitedLog = field(default_factory=lambda: LimitedLog(log), init=False)

    async def run(self) -> None:
        """Begin a pass each interval, until cancelled. The first one waits: a process that starts is busy."""
        rng, began_s = Random(), self.clock_s()
        while True:
            await asyncio.sleep(max(0.0, self.settings.audit_interval_s - (self.clock_s() - began_s)))
            began_s = self.clock_s()
            try:
                await self.run_once(rng.getrandbits(32))
            except (StoreUnavailable, TooManyReads) as error:
                self._outages.warning("audit", "the audit goes on with the next pass: %s", error)

    async def run_once(self, seed: int) -> None:
        settings = self.settings
        part_max = max(1, int(settings.audit_users * PART_S / settings.audit_interval_s))
        auditor, total = self.auditor_of(seed), Audited()
        parts = sampled_users(self.scan, settings.audit_users, seed, part_max=part_max)
        async for users in parts:
            if not self.is_owner():
                return
            began_s = self.clock_s()
            audited = await auditor.audit(users)
            _count(audited)
            if audited.is_judged:
                total += audited
            await asyncio.sleep(max(0.0, PART_S - (self.clock_s() - began_s)))
        _set_ratios(total)


def _set_ratios(total: Audited) -> None:
    """Set the ratios of a pass; without a comparison they stay as they were."""
    harmful = [difference.drift for difference in total.found if difference.drift not in HARMLESS_DRIFT]
    in_timelines = sum(drift in TIMELINE_DRIFT for drift in harmful)
    for compared, count, found in (
        ("graph", total.graph, len(harmful) - in_timelines),
        ("timelines", total.timelines, in_timelines),
    ):
        if count:
            metrics.AUDIT_RATIO.labels(compared).set(found / count)


def _count(audited: Audited) -> None:
    """Count what a part found, and log it."""
    metrics.AUDITED.labels("judged" if audited.is_judged else "unjudged").inc(audited.users)
    for counter, differences in ((metrics.AUDIT_FOUND, audited.found), (metrics.AUDIT_LEFT, audited.left)):
        for difference in differences:
            counter.labels(difference.drift.value).inc()
    if not audited.is_judged:
        log.warning("the audit could not judge %d users: the logs were not applied in time", audited.users)
    if audited.found:
        log.warning(
            "the audit found %d differences at %d users and repaired %d",
            len(audited.found),
            audited.users,
            len(audited.found) - len(audited.left),
        )
